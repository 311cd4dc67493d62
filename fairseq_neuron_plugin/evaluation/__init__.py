"""What one intervention does to a model: translate or score a whole split under it, in numbers."""
