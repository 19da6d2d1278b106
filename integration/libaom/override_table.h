/* Made from overrides.toml by `python -m integration.codec.overrides`. */
#ifndef AV1PART_OVERRIDE_TABLE_H_
#define AV1PART_OVERRIDE_TABLE_H_

#define AV1PART_OVERRIDES 47

/* Field of SPEED_FEATURES, least and greatest value of each feature. */
#define AV1PART_OVERRIDE_TABLE(ROW) \
  ROW(intra_sf.top_intra_model_count_allowed, 1, 4) \
  ROW(intra_sf.adapt_top_model_rd_count_using_neighbors, 0, 1) \
  ROW(intra_sf.intra_pruning_with_hog, 1, 4) \
  ROW(intra_sf.chroma_intra_pruning_with_hog, 0, 4) \
  ROW(intra_sf.prune_chroma_modes_using_luma_winner, 0, 1) \
  ROW(intra_sf.prune_luma_odd_delta_angles_in_intra, 0, 1) \
  ROW(intra_sf.prune_smooth_intra_mode_for_chroma, 0, 1) \
  ROW(intra_sf.disable_smooth_intra, 0, 1) \
  ROW(intra_sf.prune_filter_intra_level, 0, 2) \
  ROW(intra_sf.cfl_search_range, 1, 3) \
  ROW(tx_sf.adaptive_txb_search_level, 0, 3) \
  ROW(tx_sf.intra_tx_size_search_init_depth_sqr, 0, 2) \
  ROW(tx_sf.intra_tx_size_search_init_depth_rect, 0, 2) \
  ROW(tx_sf.prune_intra_tx_depths_using_nn, 0, 1) \
  ROW(tx_sf.use_rd_based_breakout_for_intra_tx_search, 0, 1) \
  ROW(tx_sf.refine_fast_tx_search_results, 0, 1) \
  ROW(tx_sf.tx_type_search.prune_2d_txfm_mode, 0, 5) \
  ROW(tx_sf.tx_type_search.use_reduced_intra_txset, 0, 2) \
  ROW(tx_sf.tx_type_search.fast_intra_tx_type_search, 0, 2) \
  ROW(tx_sf.tx_type_search.winner_mode_tx_type_pruning, 0, 4) \
  ROW(tx_sf.tx_type_search.prune_tx_type_est_rd, 0, 1) \
  ROW(tx_sf.tx_type_search.skip_tx_search, 0, 1) \
  ROW(winner_mode_sf.enable_winner_mode_for_coeff_opt, 0, 1) \
  ROW(winner_mode_sf.enable_winner_mode_for_tx_size_srch, 0, 1) \
  ROW(winner_mode_sf.enable_winner_mode_for_use_tx_domain_dist, 0, 1) \
  ROW(winner_mode_sf.multi_winner_mode_type, 0, 2) \
  ROW(winner_mode_sf.prune_winner_mode_eval_level, 0, 4) \
  ROW(part_sf.less_rectangular_check_level, 0, 2) \
  ROW(part_sf.prune_ext_part_using_split_info, 0, 2) \
  ROW(part_sf.prune_part4_search, 0, 3) \
  ROW(part_sf.early_term_after_none_split, 0, 1) \
  ROW(part_sf.prune_rectangular_split_based_on_qidx, 0, 2) \
  ROW(part_sf.prune_rect_part_using_4x4_var_deviation, 0, 1) \
  ROW(part_sf.prune_rect_part_using_none_pred_mode, 0, 1) \
  ROW(part_sf.prune_sub_8x8_partition_level, 0, 2) \
  ROW(part_sf.intra_cnn_based_part_prune_level, 0, 2) \
  ROW(part_sf.reuse_prev_rd_results_for_part_ab, 0, 1) \
  ROW(part_sf.reuse_best_prediction_for_part_ab, 0, 1) \
  ROW(lpf_sf.lpf_pick, 0, 3) \
  ROW(lpf_sf.cdef_pick_method, 0, 6) \
  ROW(lpf_sf.prune_wiener_based_on_src_var, 0, 2) \
  ROW(lpf_sf.reduce_wiener_window_size, 0, 1) \
  ROW(lpf_sf.prune_sgr_based_on_wiener, 0, 2) \
  ROW(lpf_sf.enable_sgr_ep_pruning, 0, 2) \
  ROW(lpf_sf.dual_sgr_penalty_level, 0, 10) \
  ROW(lpf_sf.disable_loop_restoration_chroma, 0, 1) \
  ROW(lpf_sf.disable_wiener_coeff_refine_search, 0, 1)

#endif
