#!/bin/sh
# Brings the tracking server to a Dokku host; a second call changes only what differs.
#
#   sh deploy.sh root@dokku.example.com mlflow.example.com
#
# The login has to be one that may run dokku and write in /var/lib/dokku. Passwords travel as the content of
# mlflow.env, never as arguments, which everybody on the host could read.
# shellcheck disable=SC2029 # names are filled in here, before they travel
set -eu
if [ $# -ne 2 ]; then
    echo "Usage: sh $0 LOGIN@DOKKU_HOST NAME_OF_THE_SERVER" >&2
    exit 2
fi
login=$1
domain=$2
app=@APP@
cd "$(dirname "$0")"

on() { # a command there; what it reads is handed over on purpose alone
    ssh -n "$login" "$@"
}

if ! on dokku plugin:installed postgres; then
    echo "There: sudo dokku plugin:install https://github.com/dokku/dokku-postgres.git postgres" >&2
    exit 1
fi
on dokku apps:exists "$app" || on dokku apps:create "$app"
on dokku postgres:exists "$app-db" || on dokku postgres:create "$app-db"
on dokku postgres:linked "$app-db" "$app" || on dokku postgres:link "$app-db" "$app"
on dokku domains:set "$app" "$domain"
on dokku config:set --no-restart "$app" "ALLOWED_HOSTS=$domain"
on dokku nginx:set "$app" client-max-body-size 5g # artifacts are larger than 1 MB

storage=/var/lib/dokku/data/storage/$app
on dokku storage:ensure-directory --chown heroku "$app" # uid 1000, which the image runs as
on dokku storage:list "$app" | grep -qF "$storage:/data" || on dokku storage:mount "$app" "$storage:/data"

ssh "$login" "umask 077 && cat > $storage.env && chown dokku:dokku $storage.env" <mlflow.env
option="--env-file $storage.env"
on dokku docker-options:report "$app" | grep -qF -e "$option" ||
    on "dokku docker-options:add $app deploy,run '$option'"

COPYFILE_DISABLE=1 tar -czf - -C mlflow_tracking_server . |
    ssh "$login" "dokku git:from-archive --archive-type tar.gz $app --"
