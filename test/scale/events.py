#!/usr/bin/env python3
"""Listens to a server's cache events as vLLM's own subscribers do, and says what it has heard.

    events.py EVENTS REPLAY        (addresses such as tcp://127.0.0.1:5557; ends when standard input does)

The structures are vLLM's, decoded strictly. A batch whose number is not the next one, a block that is
stored after one that is not known, stored twice, or removed without being stored is an error. At the end
all batches are asked for again, and must be those that were heard. The last line is JSON.
"""
import json
import select
import sys

import msgspec
import zmq


class Event(msgspec.Struct, omit_defaults=True, tag=True, forbid_unknown_fields=True):
    pass


class BlockStored(Event):
    block_hashes: list[int]
    parent_block_hash: int | None
    token_ids: list[int]
    block_size: int
    lora_id: int | None
    medium: str | None
    lora_name: str | None


class BlockRemoved(Event):
    block_hashes: list[int]
    medium: str | None


class AllBlocksCleared(Event):
    pass


class Batch(msgspec.Struct, array_like=True, omit_defaults=True):
    ts: float
    events: list[BlockStored | BlockRemoved | AllBlocksCleared]
    data_parallel_rank: int | None = None


class Listener:
    def __init__(self):
        self.decoder, self.known, self.heard, self.errors = msgspec.msgpack.Decoder(Batch), set(), {}, []
        self.counts = {"stored": 0, "removed": 0, "cleared": 0}

    def hear(self, topic, number, body):
        number = int.from_bytes(number, "big")
        if not topic.startswith(b"kv@") or topic.count(b"@") != 2:
            self.errors.append(f"topic {topic!r}")
        if self.heard and number != max(self.heard) + 1:
            self.errors.append(f"batch {number} after {max(self.heard)}")
        self.heard[number] = body
        for e in self.decoder.decode(body).events:
            if isinstance(e, AllBlocksCleared):
                self.known.clear()
                self.counts["cleared"] += 1
            elif isinstance(e, BlockRemoved):
                self.counts["removed"] += len(e.block_hashes)
                self.errors += [f"removed {h}, which was not stored" for h in e.block_hashes if h not in self.known]
                self.known.difference_update(e.block_hashes)
            else:
                self.counts["stored"] += len(e.block_hashes)
                if e.parent_block_hash is not None and e.parent_block_hash not in self.known:
                    self.errors.append(f"stored after {e.parent_block_hash}, which is not known")
                if len(e.token_ids) != e.block_size * len(e.block_hashes) or e.medium != "GPU":
                    self.errors.append(f"{len(e.token_ids)} tokens in {len(e.block_hashes)} blocks of {e.block_size}, medium {e.medium}")
                self.errors += [f"stored {h} twice" for h in e.block_hashes if h in self.known]
                self.known.update(e.block_hashes)

    def replayed(self, context, address):
        """Asks for all batches again."""
        asker = context.socket(zmq.DEALER)
        asker.connect(address)
        asker.send_multipart([b"", (0).to_bytes(8, "big")])
        again = {}
        while asker.poll(5000):
            _, number, body = asker.recv_multipart()
            if number == b"\xff" * 8:
                break
            again[int.from_bytes(number, "big")] = body
        else:
            self.errors.append("the replay has no end")
        missing = [n for n, body in self.heard.items() if again.get(n) != body]
        if missing:
            self.errors.append(f"the replay has not {len(missing)} batches, or others, from {missing[0]} on")


def main():
    context = zmq.Context()
    socket = context.socket(zmq.SUB)
    socket.setsockopt(zmq.SUBSCRIBE, b"kv@")
    socket.connect(sys.argv[1])
    listener = Listener()
    while True:
        while socket.poll(100):
            listener.hear(*socket.recv_multipart())
        if select.select([sys.stdin], [], [], 0)[0] and not sys.stdin.readline():
            break
    listener.replayed(context, sys.argv[2])
    print(json.dumps({**listener.counts, "known": len(listener.known), "batches": len(listener.heard), "errors": listener.errors[:5]}))


main()
