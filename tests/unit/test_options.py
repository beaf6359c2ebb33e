"""How texts become values of settings."""

import pytest

from driver.options import duration, namespaces, size


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("5m", 300), ("1h30m", 5400), ("24h", 86400), ("0", 0), ("0.5s", 0.5), ("0s", 0)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "s", "-5s", "5 s", "1d", "\N{ARABIC-INDIC DIGIT ONE}s", "5m3h"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        duration(text)


@pytest.mark.parametrize(("text", "number"), [("4194304", 4_194_304), ("512Ki", 524_288), ("32Mi", 33_554_432)])
def test_sizes(text: str, number: int) -> None:
    assert size(text) == number


@pytest.mark.parametrize(("text", "names"), [("", ()), ("shop", ("shop",)), ("shop, web,shop", ("shop", "web"))])
def test_namespaces(text: str, names: tuple[str, ...]) -> None:
    assert namespaces(text) == names


@pytest.mark.parametrize("text", ["Shop", "a/b", "-a", "*", "a b"])
def test_what_is_no_list_of_namespaces(text: str) -> None:
    with pytest.raises(ValueError, match="namespaces such as"):
        namespaces(text)
