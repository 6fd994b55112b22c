//! Builds: goal graph, sandbox, builtin builders and logs.
