"""The audit hook cannot be taken away again, so each try runs in a process of its own."""

import subprocess
import sys

import pytest

from local.offline import clean_environment, is_local

PRELUDE = "import socket, local.offline as offline; offline.install(); "


def attempt(code):
    return subprocess.run(
        [sys.executable, "-c", PRELUDE + code], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("code", "host"),
    [
        ("socket.create_connection(('192.0.2.1', 80), 1)", "192.0.2.1"),
        ("socket.socket(socket.AF_INET6).connect(('2001:db8::1', 80))", "2001:db8::1"),
        ("socket.getaddrinfo('example.com', 443)", "example.com"),
        ("socket.gethostbyname('example.com')", "example.com"),
        ("socket.gethostbyaddr('192.0.2.1')", "192.0.2.1"),
        ("socket.getnameinfo(('192.0.2.1', 80), 0)", "192.0.2.1"),
        ("socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))", "192.0.2.1"),
        ("socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendmsg([b'x'], [], 0, ('192.0.2.1', 53))", "192.0.2.1"),
        ("import urllib.request; urllib.request.urlopen('http://169.254.169.254/latest')", "169.254.169.254"),
    ],
)
def test_what_would_leave_the_machine_is_refused_by_name(code, host):
    result = attempt(code)
    assert result.returncode != 0
    assert f"{host!r} refused: the embedded cloud does not leave this machine" in result.stderr


@pytest.mark.parametrize(
    "code",
    [
        "s = socket.create_server(('127.0.0.1', 0)); socket.create_connection(s.getsockname()).sendmsg([b'x'])",
        "s = socket.create_server(('127.0.0.1', 0)); socket.create_connection(('localhost', s.getsockname()[1]))",
        "socket.getaddrinfo(None, 80)",
        "a, b = socket.socketpair(); a.sendall(b'x')",
        "offline.install()",
    ],
)
def test_this_machine_is_in_reach(code):
    result = attempt(code)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", "localhost", b"localhost", "", None]
)
def test_the_loopback_is_local(host):
    assert is_local(host)


@pytest.mark.parametrize(
    "host", ["192.0.2.1", "10.0.0.1", "localhost.example.com", "::ffff:8.8.8.8", "127.0.0.1.example.com"]
)
def test_nothing_else_is_local(host):
    assert not is_local(host)


def test_credentials_endpoints_and_proxies_are_not_inherited():
    inherited = {"AWS_PROFILE": "prod", "AWS_SECRET_ACCESS_KEY": "x", "aws_endpoint_url": "x", "HTTPS_PROXY": "x"}
    cleaned = clean_environment(inherited | {"no_proxy": "x", "MOTO_ACCOUNT_ID": "1", "PATH": "/bin"})
    assert cleaned == {
        "PATH": "/bin",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }
