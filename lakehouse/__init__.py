"""What every room stands on: settings, contracts, Spark, the runner, local servers, the command line."""
