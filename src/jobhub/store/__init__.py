"""PostgreSQL: connections, named statements, rows made into frozen Structs. The only layer that holds SQL."""
