epoch=$(date +%s%3N)
digest=$(printf '%s' "$METHOD$epoch$BODY$RESOURCE" | openssl dgst -sha256 -hmac "$LM_ACCESS_KEY" | sed 's/^.* //')
signature=$(printf '%s' "$digest" | base64)
echo LMv1 $LM_ACCESS_ID:$signature:$epoch
