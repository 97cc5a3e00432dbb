"""The larger checks of ``doctor``: facts in, findings out. Pure; ``cli.doctor_checks`` looks."""
