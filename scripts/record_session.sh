#!/bin/bash
# Records a session with every command of lmtokens and its exit code, against the sandbox:
#   bash scripts/record_session.sh > session.txt
# Needs curl, jq and script (of util-linux).

if [ -z "$IN_SANDBOX" ]; then
    recorder=$(realpath "$0")
    cd "$(mktemp -d)" || exit 1
    IN_SANDBOX=1 lmtokens sandbox --seed 1 -- bash "$recorder"
    status=$?
    rm -r "$PWD"
    exit $status
fi

run() {
    printf '$ %s\n' "$1"
    bash -o pipefail -c "$1" </dev/null 2>&1
    printf '[exit %s]\n\n' $?
}

at_terminal() {
    printf '$ %s   (answering %s)\n' "$1" "$2"
    (sleep 1; printf '%s\n' "$2") | CI='' script -qec "$1" /dev/null 2>&1
    printf '[exit %s]\n\n' $?
}

run 'lmtokens --version'
run 'python -m lmtokens --version'
run 'lmtokens -h'
for command in users list show add update enable disable delete bulk rotate sweep audit whoami doctor sign explain profile \
    'profile add' 'profile list' 'profile show' 'profile default' 'profile remove' sandbox completions; do
    run "lmtokens $command -h"
done

run 'lmtokens users'
run 'lmtokens users -o json'
run 'lmtokens doctor'
run 'LM_ACCESS_KEY=wrong lmtokens doctor'

run 'lmtokens add api-user --note ci --dry-run'
run 'lmtokens add api-user --note ci -o json | jq ".access_key = \"(printed once)\""'
run 'lmtokens add 32 --note backup --expires 30d --to file:backup.json'
run 'lmtokens add 32 --note deploy --disabled --to file:deploy.env -o env-file; cut -d= -f1 deploy.env'
run 'lmtokens add 32 --note shell -o env | sed "s/\(KEY\)=.*/\1=(printed once)/"'
run 'lmtokens add 32 --note workflow -o github'
run 'touch github; GITHUB_ENV=github lmtokens add 32 --note workflow -o github | sed "s/mask::.*/mask::(printed once)/"; cut -d= -f1 github'
run 'lmtokens add 32 --note kept --to "command:sh -c \"wc -l > received\""; cat received'
run 'lmtokens add 999 --note nosuch'
run 'lmtokens add nosuch'

run 'lmtokens list'
run 'lmtokens list --user api-user --status disabled'
run 'lmtokens list --note backup --fields id,note,expires_on -o jsonl'
run 'lmtokens list --filter "createdBy:\"admin\"" --count'
run 'lmtokens list --unused-for 90d -o csv'
run 'lmtokens list --limit 1 -o json'
run 'lmtokens show 104 -o json'
run 'lmtokens show 99999'

run 'lmtokens update 104 --note "backup of site b" --dry-run'
run 'lmtokens update 104 --note "backup of site b"'
run 'lmtokens disable 103 104'
run 'lmtokens enable 103 99999'
run 'lmtokens enable 99998 99999'
run 'lmtokens disable 101'
run 'lmtokens delete 103'
run 'lmtokens delete 103 --dry-run'
at_terminal 'lmtokens delete 103' n
at_terminal 'lmtokens delete 103' y
run 'lmtokens delete 104 --yes -v'

run 'printf "admin_id,note\n32,one\napi-user,two\nnosuch,three\n" > rows.csv; lmtokens bulk rows.csv --journal run.journal'
run 'lmtokens bulk --journal run.journal --export -o jsonl | jq -c ".access_key = \"(printed)\""'
run 'lmtokens -q bulk rows.csv --journal run.journal --resume'
run 'printf "User;Purpose\n32;four\n32;five\n" > team.csv; mkdir keys; lmtokens bulk team.csv --map User=admin_id --map Purpose=note --to "file:keys/{row}.json" --journal team.journal; ls keys'

run 'lmtokens add 32 --note old --to file:rotated.json'
run 'old=$(lmtokens list --note old --fields id -o jsonl | jq .id); lmtokens rotate $old --to file:rotated.json --overlap 1d --dry-run'
run 'old=$(lmtokens list --note old --fields id -o jsonl | jq .id); lmtokens rotate $old --to file:rotated.json --overlap 1d'
run 'lmtokens sandbox advance 2d; lmtokens rotate --finish'
run 'lmtokens sandbox advance 8d; lmtokens rotate --finish'

run 'lmtokens add 32 --note short --expires 1h --to file:short.json; lmtokens sweep'
run 'lmtokens sandbox advance 2h; lmtokens sweep --only expired'
run 'lmtokens sweep --yes'
run 'lmtokens audit --reason no_note'
run 'lmtokens audit --reason owner_not_api_only --fail-on info -q -o csv > audit.csv; echo "exit $?"; wc -l audit.csv'

run 'lmtokens whoami'
run 'lmtokens whoami -o json'
run 'lmtokens sign GET /setting/admins/apitokens | sed "s/:.*:/:(signature):/"'
run 'curl -sg -H "Authorization: $(lmtokens sign GET /setting/admins/apitokens)" -H "X-Version: 3" "$LM_BASE_URL/setting/admins/apitokens?fields=id&size=2"; echo'
run 'lmtokens sign GET /santaba/rest/device'
run 'lmtokens sign GET /x | lmtokens explain --method GET --path /x --authorization -'
run 'lmtokens sign GET /santaba | lmtokens explain --method POST --path /santaba --authorization -'

export LM_CONFIG_FILE=$PWD/profiles.toml
portal=$LM_BASE_URL
run "printf %s \"\$LM_ACCESS_KEY\" | lmtokens profile add local --base-url $portal --access-id \$LM_ACCESS_ID --default"
run 'lmtokens profile add acme --company acme --access-id exampleAccessId00001 < /dev/null'
run 'printf lmb_invented | lmtokens profile add acme --company acme; stat -c %A profiles.toml'
run 'lmtokens profile list'
run 'lmtokens profile show -o json'
run 'lmtokens profile default acme'
run 'lmtokens profile show'
run 'lmtokens whoami --profile local -o json | jq .credentials_from'
run 'lmtokens --profile nosuch list'
run 'lmtokens profile remove acme'
at_terminal 'lmtokens profile remove acme' y
run 'lmtokens profile remove local --yes'
unset LM_CONFIG_FILE

run 'lmtokens list --access-key invented-secret'
run 'lmtokens list invented-secret'
run 'lmtokens create 32'
run 'lmtokens lst'
run 'lmtokens lst --error-format json'
run 'lmtokens show 99999 --error-format json'
run 'LM_ACCESS_KEY=wrong lmtokens delete 105 106 --yes --error-format json'
run 'lmtokens list -o json > /dev/full'
run 'env -u LM_BASE_URL -u LM_ACCESS_ID -u LM_ACCESS_KEY lmtokens list --company acme'
run 'lmtokens sandbox -- nosuch'
for shell in bash zsh fish; do
    run "lmtokens completions $shell | sed -n 1,3p"
done
