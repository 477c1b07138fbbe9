# %% [markdown]
# # API tokens in a notebook
#
# Each `# %%` begins a cell, for editors and for Jupyter (by way of Jupytext). There is no account in this one: the
# portal runs in this process. With `client = lmtokens.Client("acme")` in its place, the credentials that are not found
# are asked for.

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

# %% A cell that ends with a token shows it, and its key as a mask: a notebook that is shared gives nothing away.
token = client.add_token(32, note="made in a notebook")
print(token)
print(token.access_key)

# %% Lists are lazy; a table is one line. `token.to_dict()` is what pandas takes.
print([one.to_dict()["note"] for one in client.list_tokens(32)])

# %% Filters are comparisons.
print(where.note.contains("notebook") & (where.status == 2))
print(sum(1 for _ in client.list_tokens(filter=where.note.contains("notebook") & (where.status == 2))))


# %% In Jupyter a cell may say `await ...` itself; here it needs a loop.
async def many() -> list[int]:
    async with portal.async_client() as awaited:
        return [one.id for one in await asyncio.gather(*(awaited.add_token(32, note="many") for _ in range(10)))]


print(len(asyncio.run(many())))

# %% What went wrong, and what to do about it, is in the error.
try:
    client.add_token(4711)
except lmtokens.NotFoundError as error:
    print(error)

# %% What the portal saw.
print({seen.method for seen in portal.record}, {seen.signature for seen in portal.record})

# %%
for one in client.list_tokens(32):
    client.delete_token(one)
portal.close()
