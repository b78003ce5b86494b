"""HTTP servers with bounds: connections, access by token, and addresses."""
