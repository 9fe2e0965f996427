/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Asks llama.cpp what the tests compare libmulm with; README.md beside this file has the formats. Compiled and run by
 * make-golden, never by the build.
 *
 *      golden MODEL.gguf DIRECTORY PROMPTS AWKWARD N_LOGITS
 *
 * PROMPTS is the folder of the prompt files, AWKWARD the file of awkward texts.
 */
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "chat.h"
#include "llama.h"

using tokens = std::vector<llama_token>;

static const int n_continuation = 32, n_greedy = 100, n_context = 2048;

[[noreturn]] static void fail(const std::string &sentence)
{
        fprintf(stderr, "golden: %s\n", sentence.c_str());
        exit(1);
}

static std::string read_file(const std::string &path)
{
        std::ifstream file(path, std::ios::binary);

        if (!file)
                fail("cannot read " + path);
        return { std::istreambuf_iterator<char>(file), {} };
}

/* What stands between the separators. */
static std::vector<std::string> split(const std::string &text, const std::string &separator)
{
        std::vector<std::string> parts;
        size_t start = 0;

        for (size_t end; (end = text.find(separator, start)) != std::string::npos; start = end + separator.size())
                parts.push_back(text.substr(start, end - start));
        return parts;
}

static tokens tokenize(const llama_vocab *vocab, const std::string &text, bool special)
{
        tokens result(text.size() + 16);
        int n = llama_tokenize(vocab, text.data(), (int)text.size(), result.data(), (int)result.size(), true,
                               special);

        if (n < 0)
                fail("tokenize failed");
        result.resize((size_t)n);
        return result;
}

static void write_tokens(const std::string &path, const std::vector<tokens> &lists)
{
        std::ofstream file(path, std::ios::binary);
        auto put = [&](size_t value) {
                if (value > UINT16_MAX)
                        fail("a number in " + path + " needs more than 16 bits");
                file.put((char)(value & 0xff)).put((char)(value >> 8));
        };

        for (const tokens &list : lists) {
                put(list.size());
                for (llama_token token : list)
                        put((size_t)token);
        }
}

static std::string render(const common_chat_templates *templates,
                          const std::vector<std::pair<std::string, std::string>> &messages)
{
        common_chat_templates_inputs inputs;

        for (const auto &[role, content] : messages) {
                common_chat_msg message;
                message.role = role;
                message.content = content;
                inputs.messages.push_back(message);
        }
        inputs.use_jinja = true;
        inputs.add_generation_prompt = true;
        return common_chat_templates_apply(templates, inputs).prompt;
}

static const float *evaluate(llama_context *context, const tokens &list)
{
        tokens copy = list;

        if (llama_decode(context, llama_batch_get_one(copy.data(), (int)copy.size())) != 0)
                fail("decode failed");
        return llama_get_logits_ith(context, -1);
}

static void print(std::ofstream &file, const char *name, const tokens &list)
{
        file << name;
        for (llama_token token : list)
                file << ' ' << token;
        file << '\n';
}

static void write_greedy(std::ofstream &file, llama_context *context, const tokens &prompt, int n_vocabulary,
                         std::ofstream *logits_file)
{
        tokens reply;
        std::vector<float> gaps;

        llama_memory_clear(llama_get_memory(context), true);
        for (int i = 0; i < n_continuation; i++) {
                const float *logits = evaluate(context, i == 0 ? prompt : tokens{ reply.back() });
                const float *best = std::max_element(logits, logits + n_vocabulary);
                float second = -1e30f;

                for (const float *logit = logits; logit < logits + n_vocabulary; logit++)
                        if (logit != best)
                                second = std::max(second, *logit);
                if (i == 0 && logits_file)
                        logits_file->write((const char *)logits, n_vocabulary * (std::streamsize)sizeof(float));
                reply.push_back((llama_token)(best - logits));
                gaps.push_back(*best - second);
        }
        print(file, "prompt", prompt);
        print(file, "reply", reply);
        file << "gaps";
        for (float gap : gaps) {
                char text[32];
                snprintf(text, sizeof(text), " %.3f", (double)gap);
                file << text;
        }
        file << '\n';
}

static llama_context *new_context(llama_model *model)
{
        llama_context_params params = llama_context_default_params();

        /* As close to the formulas as llama.cpp goes: no half precision in the cache, no flash attention; one thread. */
        params.n_ctx = n_context;
        params.n_batch = params.n_ubatch = n_context;
        params.n_threads = params.n_threads_batch = 1;
        params.type_k = params.type_v = GGML_TYPE_F32;
        params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
        return llama_init_from_model(model, params);
}

int main(int argc, char **argv)
{
        if (argc != 6)
                fail("usage: golden MODEL.gguf DIRECTORY PROMPTS AWKWARD N_LOGITS");
        const std::string directory = std::string(argv[2]) + "/", prompts = std::string(argv[3]) + "/";
        const int n_logits = std::stoi(argv[5]);

        llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
        llama_backend_init();
        llama_model *model = llama_model_load_from_file(argv[1], llama_model_default_params());
        if (!model)
                fail(std::string("cannot load ") + argv[1]);
        const llama_vocab *vocab = llama_model_get_vocab(model);
        common_chat_templates_ptr templates = common_chat_templates_init(model, "");
        std::vector<std::string> questions;

        for (const char *name : { "clinc-oos", "nlu-evaluation-data" }) {
                std::vector<std::string> lines = split(read_file(prompts + name + ".txt"), "\n");
                std::vector<tokens> lists;

                for (const std::string &line : lines)
                        lists.push_back(tokenize(vocab, line, false));
                write_tokens(directory + name + ".tokens", lists);
                for (int i = 0; i < n_greedy / 2; i++)
                        questions.push_back(lines[lines.size() / (n_greedy / 2) * (size_t)i]);
        }

        std::vector<tokens> plain, single, several;
        for (const std::string &text : split(read_file(argv[4]), "\n%%\n")) {
                plain.push_back(tokenize(vocab, text, false));
                /* A special token's name is plain text to libmulm, but not to llama.cpp once it is rendered. */
                if (text.find('<') != std::string::npos)
                        continue;
                single.push_back(tokenize(vocab, render(templates.get(), { { "user", text } }), true));
                several.push_back(tokenize(vocab,
                                           render(templates.get(), { { "system", "Be brief." },
                                                                     { "user", "hello there" },
                                                                     { "assistant", text },
                                                                     { "user", text } }),
                                           true));
        }
        write_tokens(directory + "awkward.tokens", plain);
        write_tokens(directory + "chat.tokens", single);
        write_tokens(directory + "conversation.tokens", several);

        llama_context *context = new_context(model);
        std::ofstream greedy(directory + "greedy.txt"), logits(directory + "logits.f32", std::ios::binary);
        for (size_t i = 0; i < questions.size(); i++)
                write_greedy(greedy, context,
                             tokenize(vocab, render(templates.get(), { { "user", questions[i] } }), true),
                             llama_vocab_n_tokens(vocab), i < (size_t)n_logits ? &logits : nullptr);
        llama_free(context);
        llama_model_free(model);
        return 0;
}
