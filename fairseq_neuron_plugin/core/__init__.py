"""What everything else is built of: names, specs, files, errors."""
