//! Routing, retry, request identity and the failover trigger.
