"""The steps of processing, one folder a capability; domain modules in here know no Prefect."""
