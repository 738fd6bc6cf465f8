"""The web app's files: what is cached for how long, and nothing from outside the folder."""

from pathlib import Path

import httpx
import pytest

from server.api.web import WebApp


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text("secret")
    static = tmp_path / "static"
    (static / "assets").mkdir(parents=True)
    (static / "index.html").write_text("<title>app</title>")
    (static / "sw.js").write_text("//")
    (static / "manifest.webmanifest").write_text("{}")
    (static / "assets" / "view-Abc.js").write_text("//")
    (static / "link.txt").symlink_to(tmp_path / "secret.txt")
    return static


async def ask(folder: Path, path: str, method: str = "GET") -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(WebApp(folder)), base_url="http://test") as client:
        return await client.request(method, path)


@pytest.mark.parametrize(
    ("path", "kind", "cache"),
    [
        ("/", "text/html", "no-cache"),
        ("/settings/deep", "text/html", "no-cache"),
        ("/sw.js", "text/javascript", "no-cache"),
        ("/manifest.webmanifest", "application/manifest+json", "no-cache"),
        ("/assets/view-Abc.js", "text/javascript", "public, max-age=31536000, immutable"),
    ],
)
async def test_hashed_files_are_kept_for_ever_and_pages_are_asked_for_again(
    folder: Path, path: str, kind: str, cache: str
) -> None:
    answer = await ask(folder, path)
    assert answer.status_code == 200
    assert (answer.headers["content-type"].partition(";")[0], answer.headers["cache-control"]) == (kind, cache)


@pytest.mark.parametrize(
    "path",
    ["/../secret.txt", "/%2e%2e/secret.txt", "/assets/..%2f..%2fsecret.txt", "/link.txt", "/%00.js", "//etc/passwd.x"],
)
async def test_nothing_outside_the_folder_is_served(folder: Path, path: str) -> None:
    answer = await ask(folder, path)
    assert "secret" not in answer.text
    assert answer.status_code == 404


async def test_a_missing_file_is_not_the_index_page(folder: Path) -> None:
    assert (await ask(folder, "/assets/view-Old.js")).status_code == 404


async def test_only_reading_is_offered(folder: Path) -> None:
    answer = await ask(folder, "/", "POST")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert (await ask(folder, "/", "HEAD")).status_code == 200


async def test_an_app_that_was_not_built_says_so_in_both_languages(tmp_path: Path) -> None:
    answer = await ask(tmp_path, "/")
    assert answer.status_code == 503
    assert "画面がまだ作られていません" in answer.text
    assert "has not been built yet" in answer.text


async def test_the_pages_of_staff_and_public_are_files_of_their_own(folder: Path) -> None:
    (folder / "staff.html").write_text("<title>staff</title>")
    (folder / "open.html").write_text("<title>open</title>")
    staff, public = await ask(folder, "/staff.html"), await ask(folder, "/open.html")
    assert (staff.text, public.text) == ("<title>staff</title>", "<title>open</title>")
    assert {answer.headers["cache-control"] for answer in (staff, public)} == {"no-cache"}
