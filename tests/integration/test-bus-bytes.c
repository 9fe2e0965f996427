/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Bytes that no library would send: what becomes of a caller whose prompt is not UTF-8, and of mulmd.
 */
#include <endian.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "libmulm/base/macro.h"
#include "tests/integration/bus-fixture.h"
#include "tests/support/test.h"

#define WAIT_MS 20000 /* a test that waits this long has failed */

/* D-Bus specification, "Message Format": little endian, alignment from the start of the message. */
static void pad(struct buf *buf, size_t alignment)
{
        while (buf->n % alignment > 0)
                assert_int_equal(buf_add(buf, "", 1), 0);
}

static void put_u32(struct buf *buf, uint32_t value)
{
        pad(buf, 4);
        value = htole32(value);
        assert_int_equal(buf_add(buf, &value, sizeof(value)), 0);
}

static void put_string(struct buf *buf, const char *text)
{
        put_u32(buf, (uint32_t)strlen(text));
        assert_int_equal(buf_add(buf, text, strlen(text) + 1), 0);
}

static void put_field(struct buf *buf, uint8_t code, char type, const char *value)
{
        pad(buf, 8);
        assert_int_equal(buf_add(buf, (uint8_t[]){ code, 1, (uint8_t)type, 0 }, 4), 0);
        if (type == 'g') {
                assert_int_equal(buf_add(buf, (uint8_t[]){ (uint8_t)strlen(value) }, 1), 0);
                assert_int_equal(buf_add(buf, value, strlen(value) + 1), 0);
        } else
                put_string(buf, value);
}

static void put_call(struct buf *buf, uint32_t serial, const char *destination, const char *path,
                     const char *interface, const char *member, const char *prompt)
{
        _cleanup_(buf_done) struct buf body = BUF_NULL, message = BUF_NULL;
        uint32_t n;

        if (prompt) {
                put_string(&body, prompt);
                put_u32(&body, 0);
                pad(&body, 8);
        }
        assert_int_equal(buf_add(&message, (uint8_t[]){ 'l', SD_BUS_MESSAGE_METHOD_CALL, 0, 1 }, 4), 0);
        put_u32(&message, (uint32_t)body.n);
        put_u32(&message, serial);
        put_u32(&message, 0); /* bytes of the fields, known below */
        put_field(&message, 1, 'o', path);
        put_field(&message, 2, 's', interface);
        put_field(&message, 3, 's', member);
        put_field(&message, 6, 's', destination);
        if (prompt)
                put_field(&message, 8, 'g', "sa{sv}");
        n = htole32((uint32_t)(message.n - 16));
        memcpy(message.data + 12, &n, sizeof(n));
        pad(&message, 8);
        assert_int_equal(buf_add(&message, body.data, body.n), 0);
        assert_int_equal(buf_add(buf, message.data, message.n), 0);
}

static int connect_raw(const char *address)
{
        struct sockaddr_un name = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);

        assert_true(fd >= 0);
        assert_int_equal(sscanf(address, "unix:path=%107[^,]", name.sun_path), 1);
        assert_int_equal(connect(fd, (struct sockaddr *)&name, sizeof(name)), 0);
        return fd;
}

/* Reads until the text comes, or (NULL) the end; everything that came is kept in `got`. */
static void read_raw(int fd, struct buf *got, const char *text)
{
        char block[1024];
        ssize_t n;

        while (!text || !got->data || !memmem(got->data, got->n, text, strlen(text))) {
                assert_int_equal(poll(&(struct pollfd){ fd, POLLIN, 0 }, 1, WAIT_MS), 1);
                n = read(fd, block, sizeof(block));
                if (n <= 0) {
                        assert_null(text);
                        return;
                }
                assert_int_equal(buf_add(got, block, (size_t)n), 0);
        }
}

static void ask_raw(int fd, const char *prompt, struct buf *got)
{
        _cleanup_(buf_done) struct buf out = BUF_NULL;
        char login[64];
        unsigned n;

        /* AUTH EXTERNAL takes the user id as hexadecimal of its decimal digits. */
        assert_int_equal(buf_add(&out, "\0AUTH EXTERNAL ", 15), 0);
        n = (unsigned)snprintf(login, sizeof(login), "%u", getuid());
        for (unsigned i = 0; i < n; i++)
                assert_int_equal(buf_printf(&out, "%02x", (unsigned)login[i]), 0);
        assert_int_equal(buf_add_string(&out, "\r\n"), 0);
        assert_int_equal(write(fd, out.data, out.n), (ssize_t)out.n);
        read_raw(fd, got, "OK ");
        buf_clear(&out);
        assert_int_equal(buf_add_string(&out, "BEGIN\r\n"), 0);
        assert_int_equal(write(fd, out.data, out.n), (ssize_t)out.n);
        buf_clear(&out);
        put_call(&out, 1, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello", NULL);
        put_call(&out, 2, NAME, PATH, NAME, "Ask", prompt);
        assert_int_equal(write(fd, out.data, out.n), (ssize_t)out.n);
}

static void test_broker_drops_a_caller_with_invalid_utf8_and_others_are_served(void **state)
{
        struct bus_fixture *fixture = *state;
        int fd = connect_raw(fixture->address);
        _cleanup_(buf_done) struct buf got = BUF_NULL;

        /* The same bytes with a valid prompt are taken: it is the prompt that the next connection is dropped for. */
        ask_raw(fd, "valid", &got);
        read_raw(fd, &got, "Finished");
        close(fd);
        buf_clear(&got);

        fd = connect_raw(fixture->address);
        ask_raw(fd, "in\xff\xfevalid", &got);
        read_raw(fd, &got, NULL);
        assert_null(memmem(got.data, got.n, "/request/", 9));
        close(fd);
        assert_int_equal(statistic(fixture->bus, "asked"), 1);

        ask(fixture->bus, "q", "after");
        assert_int_equal(statistic(fixture->bus, "asked"), 2);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_broker_drops_a_caller_with_invalid_utf8_and_others_are_served,
                                                bus_fixture_setup, bus_fixture_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
