/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * What becomes of a model when something happens to its file. Files are in memory (memfd_create), opened through
 * /proc.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libmulm/filecopy.h"
#include "libmulm/mulm.h"
#include "tests/support/golden.h"
#include "tests/support/test.h"

#define N_TOKENS 24
#define N_ROUNDS 6 /* of which the file changes in the middle */

struct file {
        int descriptor;
        char path[64];
};

static struct file file_new(void)
{
        struct file file = { .descriptor = memfd_create("model", MFD_CLOEXEC) };

        assert_true(file.descriptor >= 0);
        (void)snprintf(file.path, sizeof(file.path), "/proc/self/fd/%d", file.descriptor);
        return file;
}

static void file_write(const struct file *file, const char *data, size_t n_data)
{
        for (size_t at = 0; at < n_data;) {
                ssize_t n = pwrite(file->descriptor, data + at, n_data - at, (off_t)at);

                assert_true(n > 0);
                at += (size_t)n;
        }
}

static void file_write_model(const struct file *file)
{
        struct buf data = golden_read("../../models/mulm-28m.q8_0.gguf");

        file_write(file, data.data, data.n);
        buf_done(&data);
}

/* ---------------------------------------------------------------------------------- while a session decodes */

struct speaker {
        mulm_session *session;
        uint32_t tokens[N_ROUNDS][N_TOKENS]; /* 0 from where a reply ends */
        atomic_uint n_rounds;
};

/* One reply; cmocka knows of one thread only, so what fails here is a reply that differs. */
static void speak(mulm_session *session, uint32_t *tokens)
{
        const struct mulm_message message = { MULM_ROLE_USER, "why is the sky blue", 19 };
        const struct mulm_sampling greedy = MULM_SAMPLING_GREEDY;
        struct mulm_piece piece;

        if (mulm_session_chat(session, &message, 1, NULL, 0, NULL) < 0 ||
            mulm_generate_begin(session, &greedy, NULL) < 0)
                return;
        for (size_t i = 0; i < N_TOKENS && mulm_generate_next(session, &piece, NULL) == MULM_GENERATE_PIECE; i++)
                tokens[i] = piece.token;
}

static void *speaker_main(void *userdata)
{
        struct speaker *speaker = userdata;

        for (size_t round = 0; round < N_ROUNDS; round++) {
                speak(speaker->session, speaker->tokens[round]);
                atomic_fetch_add(&speaker->n_rounds, 1);
        }
        return NULL;
}

static void cut(const struct file *file)
{
        assert_int_equal(ftruncate(file->descriptor, 0), 0);
}

static void overwrite(const struct file *file)
{
        static const char noise[1 << 16] = "nothing";

        for (off_t at = 0; at < 30000000; at += (off_t)sizeof(noise))
                assert_int_equal(pwrite(file->descriptor, noise, sizeof(noise), at), sizeof(noise));
}

static void change_while_speaking(void (*change)(const struct file *))
{
        struct file file = file_new();
        struct speaker speaker = { 0 };
        mulm_model *model;
        pthread_t thread;

        file_write_model(&file);
        assert_int_equal(mulm_model_open(&model, file.path, NULL, NULL), 0);
        assert_int_equal(mulm_session_new(&speaker.session, model, NULL, NULL), 0);
        assert_int_equal(pthread_create(&thread, NULL, speaker_main, &speaker), 0);
        while (atomic_load(&speaker.n_rounds) == 0)
                (void)sched_yield();
        change(&file);
        assert_int_equal(pthread_join(thread, NULL), 0);

        assert_int_not_equal(speaker.tokens[0][5], 0);
        for (size_t round = 1; round < N_ROUNDS; round++)
                assert_memory_equal(speaker.tokens[round], speaker.tokens[0], sizeof(speaker.tokens[0]));
        mulm_session_free(speaker.session);
        mulm_model_free(model);
        (void)close(file.descriptor);
}

static void test_file_cut_while_a_session_decodes_changes_nothing(void **state)
{
        (void)state;
        change_while_speaking(cut);
}

static void test_file_overwritten_while_a_session_decodes_changes_nothing(void **state)
{
        (void)state;
        change_while_speaking(overwrite);
}

/* ----------------------------------------------------------------------------------------- while it is read */

struct changer {
        struct file file;
        struct buf data;
};

static void *cut_and_mend(void *userdata)
{
        const struct changer *changer = userdata;

        for (int i = 0; i < 20; i++)
                if (ftruncate(changer->file.descriptor, 0) < 0 ||
                    pwrite(changer->file.descriptor, changer->data.data, changer->data.n, 0) < 0)
                        break;
        return NULL;
}

static void test_file_cut_while_it_is_read_gets_a_verdict(void **state)
{
        struct changer changer = { .file = file_new(), .data = golden_read("../../models/mulm-28m.q8_0.gguf") };
        pthread_t thread;

        (void)state;
        file_write(&changer.file, changer.data.data, changer.data.n);
        assert_int_equal(pthread_create(&thread, NULL, cut_and_mend, &changer), 0);
        for (int i = 0; i < 20; i++) {
                struct mulm_error error = { "" };
                mulm_model *model = NULL;
                int r = mulm_model_open(&model, changer.file.path, NULL, &error);

                assert_true(r == 0 || r == -EBADMSG || r == -ENOTSUP);
                assert_int_equal(r < 0, error.sentence[0] != '\0');
                mulm_model_free(model);
        }
        assert_int_equal(pthread_join(thread, NULL), 0);
        (void)close(changer.file.descriptor);
        buf_done(&changer.data);
}

/* --------------------------------------------------------------------------------------------- what is refused */

static void test_large_file_of_another_kind_is_not_read(void **state)
{
        struct file file = file_new();
        struct filecopy copy = { 0 };
        struct mulm_error error;

        (void)state;
        assert_int_equal(ftruncate(file.descriptor, (off_t)1 << 40), 0);
        assert_int_equal(filecopy_init(&copy, file.path, "GGUF", &error), -EBADMSG);
        assert_non_null(strstr(error.sentence, "offset 0: not a GGUF file"));
        assert_null(copy.data);
        (void)close(file.descriptor);
}

static void test_file_beyond_all_memory_is_out_of_memory(void **state)
{
        struct file file = file_new();
        struct filecopy copy = { 0 };
        struct mulm_error error;

        (void)state;
        file_write(&file, "GGUF", 4);
        assert_int_equal(ftruncate(file.descriptor, (off_t)1 << 52), 0);
        assert_int_equal(filecopy_init(&copy, file.path, "GGUF", &error), -ENOMEM);
        assert_non_null(strstr(error.sentence, "4503599627370496 bytes"));
        assert_null(copy.data);
        (void)close(file.descriptor);
}

static void test_copy_is_the_file(void **state)
{
        struct file file = file_new();
        struct filecopy copy;

        (void)state;
        file_write(&file, "GGUF and more", 13);
        assert_int_equal(filecopy_init(&copy, file.path, "GGUF", NULL), 0);
        assert_int_equal(copy.n_data, 13);
        assert_memory_equal(copy.data, "GGUF and more", 13);
        filecopy_done(&copy);
        (void)close(file.descriptor);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_file_cut_while_a_session_decodes_changes_nothing),
                cmocka_unit_test(test_file_overwritten_while_a_session_decodes_changes_nothing),
                cmocka_unit_test(test_file_cut_while_it_is_read_gets_a_verdict),
                cmocka_unit_test(test_large_file_of_another_kind_is_not_read),
                cmocka_unit_test(test_file_beyond_all_memory_is_out_of_memory),
                cmocka_unit_test(test_copy_is_the_file),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
