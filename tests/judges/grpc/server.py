"""A server of gRPC within TLS, for the judge: `server.py PORT KEY CERTIFICATE`. Messages are octets as they are."""

import pathlib
import sys
import threading
from concurrent import futures

import grpc

# As many calls at once as the judge has open, and some that end.
THREADS = 160


class Judge:
    def __init__(self):
        self.cancelled = 0
        self.lock = threading.Lock()

    def echo(self, request, _context):
        return request

    def echo_all(self, requests, _context):
        yield from requests

    def count_to(self, request, _context):
        for number in range(int(request)):
            yield str(number).encode()

    def total(self, requests, _context):
        return str(sum(len(request) for request in requests)).encode()

    def fail(self, request, context):
        context.set_trailing_metadata((("reason", request.decode()), ("octets-bin", bytes(range(256)))))
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not like this: 100 % ü")

    def wait_for_ever(self, _request, context):
        """Ends when the call is given up, and counts that."""
        over = threading.Event()
        context.add_callback(over.set)
        over.wait(60)
        with self.lock:
            self.cancelled += 1
        return b""

    def cancelled_calls(self, _request, _context):
        return str(self.cancelled).encode()


def serve(port, key, certificate):
    judge = Judge()
    handlers = {
        "Echo": grpc.unary_unary_rpc_method_handler(judge.echo),
        "EchoAll": grpc.stream_stream_rpc_method_handler(judge.echo_all),
        "CountTo": grpc.unary_stream_rpc_method_handler(judge.count_to),
        "Total": grpc.stream_unary_rpc_method_handler(judge.total),
        "Fail": grpc.unary_unary_rpc_method_handler(judge.fail),
        "Wait": grpc.unary_unary_rpc_method_handler(judge.wait_for_ever),
        "Cancelled": grpc.unary_unary_rpc_method_handler(judge.cancelled_calls),
    }
    server = grpc.server(futures.ThreadPoolExecutor(THREADS))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("larder.Judge", handlers),))
    pair = (pathlib.Path(key).read_bytes(), pathlib.Path(certificate).read_bytes())
    server.add_secure_port(f"127.0.0.1:{port}", grpc.ssl_server_credentials([pair]))
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    serve(*sys.argv[1:])
