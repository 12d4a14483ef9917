;; Grows its table without an end; exits 0 when it was refused.
(module
  (memory (export "memory") 1)
  (table $t 100000 funcref)
  (func (export "_start")
    (loop $l (br_if $l (i32.ne (table.grow $t (ref.null func) (i32.const 50000)) (i32.const -1))))
    (if (i32.gt_u (table.size $t) (i32.const 200000)) (then unreachable))))
