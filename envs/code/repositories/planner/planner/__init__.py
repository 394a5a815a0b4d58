"""Plans are dictionaries: task -> (duration, list of the tasks it waits for)."""
