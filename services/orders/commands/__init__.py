"""The use cases of orders, one function each; each owns its transaction. No provider is called inside of one."""
