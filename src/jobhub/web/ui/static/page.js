// Placeholder until the modules are here.
