/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The mulmd authors */
/*
 * Parts of the scalar reference that other files use: its table has those of scalar-super.c, and other instruction
 * sets take dequantisers from here for types whose rows they never need as floats but to look up an embedding.
 */
#pragma once

#include "libmulm/kernels/kernels.h"

void scalar_dequantise_q5_0(float *y, const void *row, size_t n_columns);
void scalar_dequantise_q5_1(float *y, const void *row, size_t n_columns);

/* scalar-super.c */
void scalar_quantise_wide(struct kernel_block *blocks, const float *x, size_t n);
void scalar_rows_q4_k(float *y, const void *rows, size_t n_row_bytes, size_t n_rows, size_t n_columns,
                      const struct kernel_vector *x);
void scalar_batch_q4_k(float *y, size_t n_stride, const void *rows, size_t n_row_bytes, size_t n_rows,
                       size_t n_columns, const struct kernel_vector *x, size_t n_vectors);
void scalar_rows_q5_k(float *y, const void *rows, size_t n_row_bytes, size_t n_rows, size_t n_columns,
                      const struct kernel_vector *x);
void scalar_batch_q5_k(float *y, size_t n_stride, const void *rows, size_t n_row_bytes, size_t n_rows,
                       size_t n_columns, const struct kernel_vector *x, size_t n_vectors);
void scalar_rows_q6_k(float *y, const void *rows, size_t n_row_bytes, size_t n_rows, size_t n_columns,
                      const struct kernel_vector *x);
void scalar_batch_q6_k(float *y, size_t n_stride, const void *rows, size_t n_row_bytes, size_t n_rows,
                       size_t n_columns, const struct kernel_vector *x, size_t n_vectors);
void scalar_dequantise_q4_k(float *y, const void *row, size_t n_columns);
void scalar_dequantise_q5_k(float *y, const void *row, size_t n_columns);
void scalar_dequantise_q6_k(float *y, const void *row, size_t n_columns);
