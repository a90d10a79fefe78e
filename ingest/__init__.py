"""ingest: takes in what handsets and POS terminals send, and acknowledges it once it is stored.

In: MQTT (`ingest.mqtt`) and HTTP (`ingest.http`) payloads of known devices. Out: committed rows of facts, and the
acknowledgement of each protocol, sent only after that commit. The walk of a payload:

    wire (bytes → records, pure) → admit (record → packed row and lane, pure) → lanes (bounded) → writer (one thread a
    lane: COPY, commit_batch, COMMIT) → acknowledgement

`intake` ties this together for every protocol; `quarantine` keeps what was refused, with its reason. No rule is
evaluated here: the store is the queue.
"""
