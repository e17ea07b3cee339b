"""What kubelets ask, asked of ports of this machine."""

import socket
import urllib.error
import urllib.request

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def grpc_is_serving(port: int, service: str, timeout_seconds: float) -> bool:
    """gRPC Health Checking Protocol, which kubelets speak."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service=service), timeout=timeout_seconds
            )
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def http_answers(port: int, path: str, timeout_seconds: float) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=timeout_seconds) as answer:
            return bool(200 <= answer.status < 400)
    except (urllib.error.URLError, OSError):
        return False


def accepts(port: int, timeout_seconds: float) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout_seconds):
            return True
    except OSError:
        return False
