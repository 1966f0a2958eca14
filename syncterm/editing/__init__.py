"""Set-up while a person works on it, as pure models: what the editors hold, undo, problems, consequences. Knows no screen."""
