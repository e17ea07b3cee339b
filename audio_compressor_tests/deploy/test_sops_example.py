"""The example of what lies in git encrypted: names can be read, no value can, and the API would refuse it as it is."""

import base64
import binascii
import re

import pytest
import yaml
from kubernetes_validate import utils as kubernetes_validate

from audio_compressor_tests.deploy.rendered import KUBERNETES, documents

_DIRECTORY = KUBERNETES / "sops"
_ENCRYPTED = re.compile(r"ENC\[AES256_GCM,data:(?P<data>[^,]+),iv:(?P<iv>[^,]+),tag:(?P<tag>[^,]+),type:str\]")


def test_every_value_is_encrypted_for_the_key_that_the_rules_name() -> None:
    [secret] = documents(_DIRECTORY / "aws-credentials.yaml")
    [rule] = yaml.safe_load((_DIRECTORY / ".sops.yaml").read_text())["creation_rules"]
    assert re.match(rule["path_regex"], "aws-credentials.yaml")
    assert secret["sops"]["encrypted_regex"] == rule["encrypted_regex"]
    assert re.match(rule["encrypted_regex"], "stringData")
    [recipient] = secret["sops"]["age"]
    assert recipient["recipient"] == rule["age"]
    assert recipient["enc"].startswith("-----BEGIN AGE ENCRYPTED FILE-----")
    for value in (*secret["stringData"].values(), secret["sops"]["mac"]):
        match = _ENCRYPTED.fullmatch(value)
        assert match, value
        assert len(base64.b64decode(match["iv"])) == 32
        assert len(base64.b64decode(match["tag"])) == 16


def test_applied_as_it_is_it_would_be_refused() -> None:
    [secret] = documents(_DIRECTORY / "aws-credentials.yaml")
    newest = kubernetes_validate.latest_version()
    with pytest.raises(kubernetes_validate.ValidationError, match="sops"):
        kubernetes_validate.validate(secret, newest, strict=True)
    # What sops --decrypt leaves is a Secret.
    decrypted = {name: value for name, value in secret.items() if name != "sops"}
    assert kubernetes_validate.validate(decrypted, newest, strict=True)


def test_no_private_key_is_beside_it() -> None:
    for path in _DIRECTORY.iterdir():
        assert "AGE-SECRET-KEY" not in path.read_text(), path
    with pytest.raises(binascii.Error):
        base64.b64decode(
            documents(_DIRECTORY / "aws-credentials.yaml")[0]["stringData"]["access-key-id"], validate=True
        )
