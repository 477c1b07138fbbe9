epoch=$(date +%s%3N)
digest=$(printf '%s' "$METHOD$epoch$BODY$RESOURCE" | openssl dgst -sha256 -hmac "$LM_ACCESS_KEY" | sed 's/^.* //')
signature=$(printf '%s' "$digest" | openssl base64 -A)
echo "LMv1 $LM_ACCESS_ID:$signature:$epoch"
