# %% [markdown]
# # API tokens in a notebook
#
# Each `# %%` begins a cell, for editors and for Jupyter (with Jupytext). This notebook needs no account: a sandbox runs
# in this process. With `client = lmtokens.Client("acme")` instead, the client asks for missing credentials.

# %%
from __future__ import annotations

import asyncio

import lmtokens
import lmtokens.sandbox
from lmtokens import where

# %%
portal = lmtokens.sandbox.Portal()
client = portal.client()
print(client.whoami().admin_name)

# %% The key of a token is displayed as a mask, so a notebook can be shared.
token = client.add_token(32, note="created in a notebook")
print(token)
print(token.access_key)

# %% Lists are lazy. `token.to_dict()` returns a row for pandas.
print([token.to_dict()["note"] for token in client.list_tokens(32)])

# %% Filters are comparisons.
print(where.note.contains("notebook") & (where.status == 2))
print(sum(1 for _ in client.list_tokens(filter=where.note.contains("notebook") & (where.status == 2))))


# %% In Jupyter a cell can use `await` directly; a script needs an event loop.
async def create_many() -> list[int]:
    async with portal.async_client() as async_client:
        return [each.id for each in await asyncio.gather(*(async_client.add_token(32, note="many") for _ in range(10)))]


print(len(asyncio.run(create_many())))

# %% An error contains the reason and a hint.
try:
    client.add_token(4711)
except lmtokens.NotFoundError as error:
    print(error)

# %% The sandbox records every request.
print({seen.method for seen in portal.record}, {seen.signature for seen in portal.record})

# %%
for each in client.list_tokens(32):
    client.delete_token(each)
portal.close()
