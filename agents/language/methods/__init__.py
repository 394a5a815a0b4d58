"""Methods for language agents: advantage estimators and plug-ins, one file each."""
