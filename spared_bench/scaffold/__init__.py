"""New plugin packages that install, test themselves and run."""
