"""The gateway: takes events of browsers, apps and servers over HTTP, and answers who a customer is now.

Where to begin: `streams.gateway.app` puts the process together, `streams.gateway.ingest` follows an event from the
request to Kafka.
"""
