"""Payment providers behind one port; the sandbox provider is the only one so far."""
