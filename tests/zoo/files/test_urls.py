"""The addresses of files on the web and on the Hub."""

from __future__ import annotations

import pytest

from zoo.errors import DownloadError
from zoo.files.urls import split_hub_url, web_address


def test_non_ascii_characters_are_percent_encoded_and_others_stay_as_they_are() -> None:
    assert web_address("https://x.test/\u00e9%20a?q=\u00e9&b=%C3#f") == "https://x.test/%C3%A9%20a?q=%C3%A9&b=%C3#f"


def test_the_hub_is_huggingface_co_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    assert web_address("hf://timm/net/a/b.bin") == "https://huggingface.co/timm/net/resolve/main/a/b.bin"
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.test/")
    assert web_address("hf://timm/net/b c.bin") == "https://mirror.test/timm/net/resolve/main/b%20c.bin"


@pytest.mark.parametrize("url", ["hf://o/n", "hf://o/n/", "hf://o//f", "hf://o/n/../f", "hf://../n/f", "hf://o/n/a\\b"])
def test_a_hub_address_cannot_leave_its_repository(url: str) -> None:
    with pytest.raises(DownloadError, match="hf://owner/name/file"):
        split_hub_url(url)
