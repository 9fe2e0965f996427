/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Asks llama.cpp what the tests compare libmulm with; README.md beside this file has the formats. Compiled and run by
 * make-golden, never by the build.
 *
 *      golden MODEL.gguf DIRECTORY PROMPTS AWKWARD N_LOGITS
 *      golden MODEL.gguf DIRECTORY PROMPTS f32|f16
 *
 * PROMPTS is the folder of the prompt files, AWKWARD the file of awkward texts. The second form writes distributions
 * and a perplexity, with a cache in single precision or as llama.cpp has it by default.
 */
#include <algorithm>
#include <cmath>
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

static const int n_continuation = 32, n_context = 2048;
static const size_t n_greedy = 100, n_distributions = 200, n_text_bytes = 12000, n_window = 512;
static const char *const prompt_files[] = { "clinc-oos", "nlu-evaluation-data" };

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

static double negative_log_likelihood(const float *logits, int n, llama_token token)
{
        double greatest = *std::max_element(logits, logits + n), sum = 0.0;

        for (int i = 0; i < n; i++)
                sum += std::exp(logits[i] - greatest);
        return std::log(sum) + greatest - logits[token];
}

/* As llama-perplexity does it: windows that do not overlap, in each of which the second half counts. */
static double perplexity(llama_context *context, const tokens &text, int n_vocabulary)
{
        llama_batch batch = llama_batch_init((int)n_window, 0, 1);
        double sum = 0.0;
        size_t n = 0;

        for (size_t at = 0; at + n_window <= text.size(); at += n_window) {
                batch.n_tokens = (int)n_window;
                for (size_t i = 0; i < n_window; i++) {
                        batch.token[i] = text[at + i];
                        batch.pos[i] = (llama_pos)i;
                        batch.n_seq_id[i] = 1;
                        batch.seq_id[i][0] = 0;
                        batch.logits[i] = i >= n_window / 2;
                }
                llama_memory_clear(llama_get_memory(context), true);
                if (llama_decode(context, batch) != 0)
                        fail("decode failed");
                for (size_t i = n_window / 2 + 1; i < n_window; i++, n++)
                        sum += negative_log_likelihood(llama_get_logits_ith(context, (int)i - 1), n_vocabulary,
                                                       text[at + i]);
        }
        llama_batch_free(batch);
        return std::exp(sum / (double)n);
}

static llama_context *new_context(llama_model *model, bool is_default)
{
        llama_context_params params = llama_context_default_params();

        params.n_ctx = n_context;
        params.n_batch = params.n_ubatch = n_context;
        params.n_threads = params.n_threads_batch = 1;
        if (is_default)
                return llama_init_from_model(model, params);

        /* As close to the formulas as llama.cpp goes: no half precision in the cache, no flash attention; one thread.
         */
        params.type_k = params.type_v = GGML_TYPE_F32;
        params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
        return llama_init_from_model(model, params);
}

struct asked {
        llama_model *model;
        const llama_vocab *vocab;
        common_chat_templates_ptr templates;
        std::string prompts; /* folder */
        std::vector<std::vector<std::string>> lines;

        asked(const char *path, const std::string &folder) : prompts(folder + "/")
        {
                llama_model_params params = llama_model_default_params();

                /* Weights as they lie in the file: --no-repack. Rearranged ones are summed in another order. */
                params.use_extra_bufts = false;
                model = llama_model_load_from_file(path, params);
                if (!model)
                        fail(std::string("cannot load ") + path);
                vocab = llama_model_get_vocab(model);
                templates = common_chat_templates_init(model, "");
                for (const char *name : prompt_files)
                        lines.push_back(split(read_file(prompts + name + ".txt"), "\n"));
        }

        ~asked()
        {
                llama_model_free(model);
        }

        /* Conversations with n of the prompts, half of them from either file, evenly spread. */
        std::vector<tokens> conversations(size_t n) const
        {
                std::vector<tokens> chosen;

                for (const std::vector<std::string> &file : lines)
                        for (size_t i = 0; i < n / lines.size(); i++) {
                                const std::string &question = file[file.size() / (n / lines.size()) * i];
                                chosen.push_back(
                                        tokenize(vocab, render(templates.get(), { { "user", question } }), true));
                        }
                return chosen;
        }
};

static void write_texts(const asked &asked, const std::string &directory, const std::string &awkward)
{
        std::vector<tokens> plain, single, several;

        for (size_t i = 0; i < asked.lines.size(); i++) {
                std::vector<tokens> lists;

                for (const std::string &line : asked.lines[i])
                        lists.push_back(tokenize(asked.vocab, line, false));
                write_tokens(directory + prompt_files[i] + ".tokens", lists);
        }
        for (const std::string &text : split(awkward, "\n%%\n")) {
                const common_chat_templates *templates = asked.templates.get();

                plain.push_back(tokenize(asked.vocab, text, false));
                /* A special token's name is plain text to libmulm, but not to llama.cpp once it is rendered. */
                if (text.find('<') != std::string::npos)
                        continue;
                single.push_back(tokenize(asked.vocab, render(templates, { { "user", text } }), true));
                several.push_back(tokenize(asked.vocab,
                                           render(templates, { { "system", "Be brief." },
                                                               { "user", "hello there" },
                                                               { "assistant", text },
                                                               { "user", text } }),
                                           true));
        }
        write_tokens(directory + "awkward.tokens", plain);
        write_tokens(directory + "chat.tokens", single);
        write_tokens(directory + "conversation.tokens", several);
}

static void write_replies(const asked &asked, const std::string &directory, size_t n_logits)
{
        llama_context *context = new_context(asked.model, false);
        std::ofstream greedy(directory + "greedy.txt"), logits(directory + "logits.f32", std::ios::binary);
        std::vector<tokens> prompts = asked.conversations(n_greedy);

        for (size_t i = 0; i < prompts.size(); i++)
                write_greedy(greedy, context, prompts[i], llama_vocab_n_tokens(asked.vocab),
                             i < n_logits ? &logits : nullptr);
        llama_free(context);
}

static void write_distributions(const asked &asked, const std::string &directory, bool is_default)
{
        llama_context *context = new_context(asked.model, is_default);
        std::ofstream logits(directory + "logits.f32", std::ios::binary), number(directory + "perplexity.txt");
        std::vector<tokens> prompts = asked.conversations(n_distributions);
        const int n_vocabulary = llama_vocab_n_tokens(asked.vocab);

        write_tokens(directory + "prompts.tokens", prompts);
        for (const tokens &prompt : prompts) {
                llama_memory_clear(llama_get_memory(context), true);
                logits.write((const char *)evaluate(context, prompt), n_vocabulary * (std::streamsize)sizeof(float));
        }
        number.precision(8);
        number << perplexity(context,
                             tokenize(asked.vocab, read_file(asked.prompts + "clinc-oos.txt").substr(0, n_text_bytes),
                                      false),
                             n_vocabulary)
               << '\n';
        llama_free(context);
}

int main(int argc, char **argv)
{
        if (argc != 5 && argc != 6)
                fail("usage: golden MODEL.gguf DIRECTORY PROMPTS AWKWARD N_LOGITS, or ... PROMPTS f32|f16");
        const std::string directory = std::string(argv[2]) + "/";

        llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
        /* Rows of the K types times eight tokens or more are summed in another order than times fewer, unless told. */
        setenv("GGML_CPU_TILED_MM", "0", 1);
        llama_backend_init();
        asked asked(argv[1], argv[3]);
        if (argc == 5) {
                write_distributions(asked, directory, std::string(argv[4]) == "f16");
                return 0;
        }
        write_texts(asked, directory, read_file(argv[4]));
        write_replies(asked, directory, (size_t)std::stoi(argv[5]));
        return 0;
}
