"""Code repair by commands of a shell, in the sandbox, graded by hidden tests."""
