;; Asks for three gigabytes at once, as malloc of a big number does, and exits 1 when refused.
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (if (i32.eq (memory.grow (i32.const 50000)) (i32.const -1)) (then (call $exit (i32.const 1))))))
