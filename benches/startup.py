"""How long a whole process takes: import, and import with one create, beside a bare interpreter and beside requests.

Every row runs in processes of its own, the rows in turn, against one embedded portal in another process. The table
shows medians, and what is left of them after the bare interpreter's. No number here is a promise.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

import lmtokens.sandbox

RUNS = 25

VENDOR = """
import requests, json, hashlib, base64, time, hmac, os
access_id, access_key = os.environ["LM_ACCESS_ID"], os.environ["LM_ACCESS_KEY"]
path, data = "/setting/admins/32/apitokens", "{}"
epoch = str(int(time.time() * 1000))
message = ("POST" + epoch + data + path).encode()
digest = hmac.new(access_key.encode(), msg=message, digestmod=hashlib.sha256).hexdigest()
auth = "LMv1 " + access_id + ":" + base64.b64encode(digest.encode()).decode() + ":" + epoch
headers = {"Content-Type": "application/json", "Authorization": auth, "X-Version": "3"}
answer = requests.post(os.environ["LM_BASE_URL"] + path, data=data, headers=headers)
assert answer.status_code == 200, answer.text
"""

ROWS = {
    "bare interpreter": "pass",
    "import lmtokens": "import lmtokens",
    "lmtokens: one create": "import lmtokens; lmtokens.add_token(32)",
    "import requests": "import requests",
    "requests: one create, as the vendor's page": VENDOR,
}


def main() -> None:
    times: dict[str, list[float]] = {name: [] for name in ROWS}
    with lmtokens.sandbox.Portal() as portal:
        portal.set_rate_limit(1_000_000)
        environment = {**os.environ, **portal.environment()}
        for run in range(RUNS + 1):
            for name, code in ROWS.items():
                start = time.perf_counter()
                subprocess.run([sys.executable, "-c", code], env=environment, check=True)
                if run:  # the first fills caches
                    times[name].append((time.perf_counter() - start) * 1000)
    bare = statistics.median(times["bare interpreter"])
    print(f"{'whole process, median of ' + str(RUNS):<46} {'ms':>8} {'beyond bare':>12}")
    for name, measured in times.items():
        median = statistics.median(measured)
        print(f"{name:<46} {median:>8.1f} {median - bare:>12.1f}")


if __name__ == "__main__":
    main()
