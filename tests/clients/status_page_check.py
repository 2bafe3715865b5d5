#!/usr/bin/env python3
"""Looks at the status page of `iamlua schedule --listen` in a real browser, and reads its metrics with another parser.

    cargo build && python3 tests/clients/status_page_check.py target/debug/iamlua [FOLDER-FOR-SCREENSHOTS]

Needs Chromium with its driver, and the Python packages selenium and prometheus_client. Not part of `cargo test`, which needs nothing but Rust.
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

from prometheus_client.parser import text_string_to_metric_families
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

EVIL = "<img src=x onerror=document.title='owned'>\"'&"
RUNBOOKS = {
    f"evil {EVIL.replace('/', '')}": f"""
        runbook {{ description = [[Prints markup. {EVIL}]], every = "2s", allow = {{ "profiles.tag" }} }}
        iam.profiles.tag("web-frontend", {{ Last = tostring(os.time()) }})
        print([[{EVIL}]])
        print("a\\tb \\27[2J")
    """,
    "fails": """
        runbook { description = "Fails.", every = "2s" }
        error("no luck <b>today</b>")
    """,
    "slow": """
        runbook { description = "Takes its time.", every = "1s" }
        time.sleep("1h")
    """,
    "nightly": """
        runbook { description = "Is idle.", schedule = "0 3 * * *", timezone = "Europe/Berlin" }
    """,
    "broken": "runbook { every = '1s', ",
}


def browser(width, scheme):
    options = Options()
    options.binary_location = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    profile = tempfile.mkdtemp()
    for flag in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={profile}",
        # Somebody else's name for this machine.
        "--host-resolver-rules=MAP rebound.example 127.0.0.1",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme = {"name": "prefers-color-scheme", "value": scheme}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    # What the browser's own first page asks for is not the matter.
    driver.get("about:blank")
    requested(driver)
    return driver, profile


def requested(driver):
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]


def luminance(colour):
    channels = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


LEAST_CONTRAST = """
    const worst = { ratio: 99 };
    const rows = [];
    for (const node of document.querySelectorAll("body *")) {
      const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
      if (!own || !node.getClientRects().length) continue;
      let behind = node;
      while (behind && getComputedStyle(behind).backgroundColor === "rgba(0, 0, 0, 0)") behind = behind.parentElement;
      rows.push([node.textContent.slice(0, 40), getComputedStyle(node).color, getComputedStyle(behind || document.body).backgroundColor]);
    }
    return rows;
"""


def check_looks(driver, page, width):
    driver.get(page)
    shown = driver.execute_script("return document.documentElement.scrollWidth")
    assert shown <= width, f"{page} is {shown} wide on a screen of {width}"
    assert driver.title.endswith("iamlua schedule"), driver.title
    assert len(driver.find_elements(By.CSS_SELECTOR, "h1")) == 1
    assert driver.execute_script("return document.documentElement.lang") == "en"
    assert not driver.find_elements(By.CSS_SELECTOR, "script, img, iframe, form, [style], [onclick]")
    for table in driver.find_elements(By.TAG_NAME, "table"):
        assert table.find_elements(By.CSS_SELECTOR, "caption, thead th[scope=col], tbody th[scope=row]")
    for text, ink, paper in driver.execute_script(LEAST_CONTRAST):
        light, dark = sorted((luminance(ink), luminance(paper)), reverse=True)
        ratio = (light + 0.05) / (dark + 0.05)
        assert ratio >= 4.5, f"{text!r} on {page} has a contrast of {ratio:.2f}: {ink} on {paper}"


def check_browser(url, screenshots):
    for width, scheme in ((1200, "light"), (1200, "dark"), (360, "light"), (360, "dark")):
        driver, profile = browser(width, scheme)
        try:
            check_looks(driver, url, width)
            pages = {"overview": url}
            for link in driver.find_elements(By.CSS_SELECTOR, "table a"):
                if "/jobs/" in link.get_attribute("href") and "evil" in link.text:
                    pages["job"] = link.get_attribute("href")
            if "job" not in pages:
                raise AssertionError("there is no link to the job")
            check_looks(driver, pages["job"], width)
            runs = driver.find_elements(By.CSS_SELECTOR, "table a[href^='/runs/']")
            done = [run for run in runs if "done" in run.find_element(By.XPATH, "ancestor::tr").text]
            pages["run"] = done[0].get_attribute("href")
            check_looks(driver, pages["run"], width)
            output = driver.find_element(By.CSS_SELECTOR, "pre[aria-label=Output]").get_attribute("textContent")
            assert output == f"{EVIL}\na\tb \\x1b[2J\n", output
            assert "owned" not in driver.title
            check_looks(driver, url + "jobs/none", width)
            if screenshots:
                for name, page in pages.items():
                    driver.get(page)
                    height = driver.execute_script("return document.documentElement.scrollHeight")
                    whole = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
                    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", whole)
                    driver.save_screenshot(str(screenshots / f"{name}-{width}-{scheme}.png"))
            # All came from the page's own address, and nothing was said on the console but that one page is missing.
            strange = [address for address in requested(driver) if not address.startswith(url)]
            assert not strange, strange
            said = [entry for entry in driver.get_log("browser") if "/jobs/none" not in entry["message"]]
            said = [entry for entry in said if "favicon" not in entry["message"]]
            assert not said, said
        finally:
            driver.quit()
            shutil.rmtree(profile, ignore_errors=True)


def check_refresh_and_rebinding(url):
    driver, profile = browser(1200, "light")
    try:
        driver.get(url)
        assert not driver.find_elements(By.CSS_SELECTOR, "meta[http-equiv=refresh]")
        driver.find_element(By.PARTIAL_LINK_TEXT, "Refresh every").click()
        driver.execute_script("window.mark = 1")
        deadline = time.monotonic() + 60
        while driver.execute_script("return window.mark") == 1:
            assert time.monotonic() < deadline, "the page does not ask for itself again"
            time.sleep(0.5)
        driver.find_element(By.PARTIAL_LINK_TEXT, "Stop").click()
        assert not driver.find_elements(By.CSS_SELECTOR, "meta[http-equiv=refresh]")
        port = urllib.parse.urlsplit(url).port
        driver.get(f"http://rebound.example:{port}/")
        assert "answers only by a name of this machine" in driver.page_source, driver.page_source
    finally:
        driver.quit()
        shutil.rmtree(profile, ignore_errors=True)


def check_metrics(url):
    with urllib.request.urlopen(url + "metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        families = {family.name: family for family in text_string_to_metric_families(answer.read().decode())}
    runs = {(s.labels["job"], s.labels["outcome"]): s.value for s in families["iamlua_job_runs"].samples}
    evil = next(job for job, _ in runs if job.startswith("evil"))
    assert evil == next(iter(RUNBOOKS)), evil
    assert runs[evil, "done"] > 0 and runs["fails", "failed"] > 0 and runs["nightly", "done"] == 0, runs
    value = lambda name, **labels: next(s.value for s in families[name].samples if s.labels == labels)
    assert value("iamlua_job_broken", job="broken") == 1 and value("iamlua_job_broken", job="nightly") == 0
    assert value("iamlua_job_running", job="slow") == 1
    next_run = value("iamlua_job_next_run_timestamp_seconds", job="nightly")
    assert 0 < next_run - time.time() < 25 * 3600, next_run
    assert time.time() - value("iamlua_job_last_success_timestamp_seconds", job=evil) < 60
    assert families["iamlua_instance_profiles"].samples[0].value == 24
    assert families["iamlua_instance_profiles_quota"].samples[0].value == 1000
    assert value("iamlua_calls", action="TagInstanceProfile") > 0


def main():
    program = os.path.abspath(sys.argv[1])
    screenshots = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else None
    if screenshots:
        screenshots.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        folder = pathlib.Path(home, "runbooks")
        folder.mkdir()
        for name, text in RUNBOOKS.items():
            (folder / f"{name}.lua").write_text(text)
        environment = {"PATH": os.environ["PATH"], "IAMLUA_HOME": home + "/state"}
        command = [program, "schedule", str(folder), "--listen", "127.0.0.1:0", "--log-format", "json"]
        scheduler = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        try:
            lines = []
            for line in scheduler.stderr:
                lines.append(json.loads(line))
                assert {"time", "level", "job", "run", "account", "message"} <= lines[-1].keys(), line
                ended = {entry["job"] for entry in lines if "outcome" in entry}
                if len(ended) >= 2:
                    break
            url = next(entry["address"] for entry in lines if "address" in entry)
            with urllib.request.urlopen(url + "healthz") as answer:
                assert answer.read() == b"ok\n"
            check_metrics(url)
            check_browser(url, screenshots)
            check_refresh_and_rebinding(url)
            second = subprocess.run(
                command[:3] + ["--listen", urllib.parse.urlsplit(url).netloc],
                env=environment,
                capture_output=True,
                text=True,
            )
            assert second.returncode == 1 and "choose another port" in second.stderr, second
        finally:
            scheduler.send_signal(signal.SIGTERM)
            _, rest = scheduler.communicate(timeout=60)
        assert scheduler.returncode == 0, (scheduler.returncode, rest)
    print("all is well")


main()
