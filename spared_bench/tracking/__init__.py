"""What was run, in MLflow: the one place that imports mlflow.

``connection`` finds or makes what is asked for and explains what fails, ``cells`` logs trials and
``completion`` the completion benchmark, ``run_record`` says how a trial becomes values and tags and
back. ``tracker`` is what the rest of the package uses.

One process writes, after the trials: many writers on SQLite fail.
"""
