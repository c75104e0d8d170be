//! A real Redis server in a folder of its own.
