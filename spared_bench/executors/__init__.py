"""Who runs the jobs: this process, or worker processes of this machine."""
