import base64
import hashlib
import hmac
import os
import time

epoch = str(int(time.time() * 1000))
string = os.environ["METHOD"] + epoch + os.environ["BODY"] + os.environ["RESOURCE"]
digest = hmac.new(os.environ["LM_ACCESS_KEY"].encode(), string.encode(), hashlib.sha256).hexdigest()
signature = base64.b64encode(digest.encode()).decode()
print(f"LMv1 {os.environ['LM_ACCESS_ID']}:{signature}:{epoch}")
