#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
#
# Makes throw-away certificates in the folder $1, each NAME.pem with its NAME.key:
#   ca          the authority that a test trusts
#   good        by ca, for localhost, 127.0.0.1 and 192.0.2.2
#   wrong-host  by ca, for somebody.invalid
#   expired     by ca, for localhost, valid until yesterday
#   stranger    by an authority that nobody knows, for localhost
set -eu

cd "$1"
mkdir -p issued

authority() { # NAME
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$1.pem" \
                -subj "/CN=mulmd test authority $1" -days 2 2>/dev/null
        : >"$1.index"
}

certificate() { # NAME AUTHORITY SUBJECT-ALT-NAMES NOT-BEFORE NOT-AFTER
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$1.csr" \
                -subj "/CN=mulmd test $1" 2>/dev/null
        cat >"$1.cnf" <<END
[ca]
default_ca = here
[here]
database = $2.index
new_certs_dir = issued
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
x509_extensions = names
[any]
commonName = supplied
[names]
subjectAltName = $3
END
        openssl ca -batch -notext -config "$1.cnf" -cert "$2.pem" -keyfile "$2.key" -startdate "$4" -enddate "$5" \
                -in "$1.csr" -out "$1.pem" 2>/dev/null
}

day() { # as `date` has it
        date -u -d "$1" +%Y%m%d000000Z
}

authority ca
authority nobody
certificate good ca DNS:localhost,IP:127.0.0.1,IP:192.0.2.2 "$(day yesterday)" "$(day '2 days')"
certificate wrong-host ca DNS:somebody.invalid "$(day yesterday)" "$(day '2 days')"
certificate expired ca DNS:localhost,IP:127.0.0.1 "$(day '9 days ago')" "$(day yesterday)"
certificate stranger nobody DNS:localhost,IP:127.0.0.1 "$(day yesterday)" "$(day '2 days')"
