#!/bin/sh
# The system programs that tests drive: a C compiler (reference tokenizer), PostgreSQL, Chromium with Chinese fonts, mutool.
# Installs what is missing where it may (root on Debian); elsewhere says what to install.
set -eu
missing=""
command -v cc >/dev/null || missing="$missing gcc libc6-dev"
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || missing="$missing postgresql"
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
    || missing="$missing chromium"
fc-list :lang=zh 2>/dev/null | grep -q . || missing="$missing fontconfig fonts-noto-cjk"
command -v mutool >/dev/null || missing="$missing mupdf-tools"
command -v git >/dev/null || missing="$missing git"
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq
    # shellcheck disable=SC2086  # a list of words
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    echo "tests need:$missing (on Debian: sudo apt-get install$missing); the others run with .venv/bin/python -m pytest" >&2
    exit 1
fi
