"""Where webhooks may go, what they say, and that others can check their signatures."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import pytest

from fal_serverless.gateway.queue import webhook
from fal_serverless.gateway.queue.model import Finished, failure
from fal_serverless.gateway.queue.webhook import BadAddressError, check_url, choose, signed


def test_a_url_is_taken_apart():
    assert check_url("https://h.example:8443/a?b=c", private=False) == (
        "https",
        "h.example",
        8443,
        "/a?b=c",
    )
    assert check_url("http://localhost", private=True) == ("http", "localhost", 80, "/")


@pytest.mark.parametrize(
    "url",
    [
        "http://h.example/",
        "ftp://h.example/",
        "h.example/x",
        "https://",
        "https://h:99999/",
        "https://user:secret@h.example/",
        "https://h.example/#part",
        "https://h.example/a b",
        "https://h.example/\n",
        "https://hö.example/",
        "https://h.example/" + "a" * 2048,
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://169.254.169.254/latest/meta-data",
        "https://10.1.2.3/",
        "https://[::ffff:10.1.2.3]/",
    ],
)
def test_what_is_no_public_https_address_is_refused(url):
    with pytest.raises(BadAddressError):
        check_url(url, private=False)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "ff02::1",
    ],
)
def test_names_that_lead_into_private_networks_are_refused(address):
    with pytest.raises(BadAddressError):
        choose([address], private=False)
    with pytest.raises(BadAddressError):
        choose(["93.184.216.34", address], private=False)
    assert choose([address], private=True) == address


def test_public_addresses_are_called():
    assert choose(["93.184.216.34", "2606:2800::1"], private=False) == "93.184.216.34"
    with pytest.raises(BadAddressError):
        choose([], private=True)


def test_what_a_webhook_says():
    done = Finished(status=200)
    assert json.loads(webhook.message("i", done, b'{"a": 1}')) == {
        "request_id": "i",
        "status": "OK",
        "payload": {"a": 1},
    }
    assert json.loads(webhook.message("i", done, b"text"))["payload"] == "text"
    assert json.loads(webhook.message("i", done, b""))["payload"] is None
    assert "response_url" in json.loads(webhook.message("i", done, b"\xff"))["payload_error"]
    large = Finished(status=200, stored=9_000_000)
    assert "9,000,000" in json.loads(webhook.message("i", large, None))["payload_error"]
    failed = failure(502, "It died.", "crashed")
    said = json.loads(webhook.message("i", failed, failed.body))
    assert (said["status"], said["error"], said["error_type"]) == ("ERROR", "It died.", "crashed")
    assert said["payload"]["detail"] == "It died."


def test_every_secret_signs_and_no_secret_signs_nothing():
    new, old = webhook.new_secret(), webhook.new_secret()
    headers = signed("id-1", b"{}", (new, old), 1_700_000_000.9)
    assert headers["webhook-id"] == "id-1"
    assert headers["webhook-timestamp"] == "1700000000"
    expected = []
    for secret in (new, old):
        key = base64.b64decode(secret.removeprefix("whsec_"))
        mac = hmac.new(key, b"id-1.1700000000.{}", hashlib.sha256).digest()
        expected.append("v1," + base64.b64encode(mac).decode())
    assert headers["webhook-signature"].split(" ") == expected
    assert "webhook-signature" not in signed("id-1", b"{}", (), 0)


def test_the_pauses_make_two_hours_and_fit_into_sqs():
    assert sum(webhook.PAUSES_S) == 7200
    assert max(webhook.PAUSES_S) <= 900
    assert list(webhook.PAUSES_S[:7]) == sorted(webhook.PAUSES_S[:7])
