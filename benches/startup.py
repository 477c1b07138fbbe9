"""Duration of a whole process: import, and import with one create, compared with a bare interpreter and requests.

Each measurement is a new process; the rows take turns, with one sandbox in this process. The table shows medians and
their difference from the bare interpreter. The numbers are not guarantees.
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
response = requests.post(os.environ["LM_BASE_URL"] + path, data=data, headers=headers)
assert response.status_code == 200, response.text
"""

ROWS = {
    "bare interpreter": "pass",
    "import lmtokens": "import lmtokens",
    "lmtokens: one create": "import lmtokens; lmtokens.add_token(32)",
    "import requests": "import requests",
    "requests: one create, as on the vendor's page": VENDOR,
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
                if run:  # The first run fills caches.
                    times[name].append((time.perf_counter() - start) * 1000)
    bare = statistics.median(times["bare interpreter"])
    print(f"{'whole process, median of ' + str(RUNS):<46} {'ms':>8} {'beyond bare':>12}")
    for name, measured in times.items():
        median = statistics.median(measured)
        print(f"{name:<46} {median:>8.1f} {median - bare:>12.1f}")


if __name__ == "__main__":
    main()
