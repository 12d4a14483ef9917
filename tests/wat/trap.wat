(module
  (memory (export "memory") 1)
  (func $guest_controlled_name (export "_start") unreachable))
