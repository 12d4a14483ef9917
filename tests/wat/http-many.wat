;; Two thousand requests; exit 0 when all failed.
(module
  (import "aileron_host" "http_request" (func $request (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "{}")
  (func (export "_start") (local $n i32)
    (loop $l
      (if (i32.ne (call $request (i32.const 0) (i32.const 2)) (i32.const -1)) (then unreachable))
      (br_if $l (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 2000))))))
