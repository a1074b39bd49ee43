!> The global grid, its blocks on the processes, and what blocks tell each other: halos, gathers and scatters.
!!
!! Index convention (Arakawa C-grid), the same for global and local indices, counted from 1:
!!   eta(i,j)  centre of cell (i,j)         at ((i - 1/2) dx, (j - 1/2) dy)
!!   u(i,j)    east face of cell (i,j)      at (i dx,         (j - 1/2) dy)
!!   v(i,j)    north face of cell (i,j)     at ((i - 1/2) dx, j dy)
!!   q(i,j)    north-east corner of (i,j)   at (i dx,         j dy)
!! Every prognostic array has nx * ny elements; the eastern wall is u(nx,:) = 0, the northern one v(:,ny) = 0.
module gyre_grid
  use, intrinsic :: iso_fortran_env, only: real64, int64
  use mpi_f08
  implicit none
  private
  public :: tile, tile_create, tile_exchange, tile_gather, tile_scatter

  integer, parameter, public :: dp = real64
  !> Ghost cells on each side: two, as far as one evaluation of the right-hand side reaches.
  integer, parameter, public :: halo = 2

  !> The part of the grid on this process.
  type tile
    type(MPI_Comm) :: comm
    integer :: rank = 0, ranks = 1
    integer :: npx = 1, npy = 1                !< processes along x and y
    integer :: nx_global = 0, ny_global = 0
    integer :: i0 = 0, j0 = 0                  !< cells west and south of this block
    integer :: nx = 0, ny = 0                  !< cells of this block
    integer :: west, east, south, north        !< neighbours; MPI_PROC_NULL: a wall
    real(dp), allocatable :: outgoing(:), incoming(:)
  end type tile

contains

  !> First cell (counted from 0) of part `p` of `n` cells cut into `parts`.
  pure integer function first_cell(n, parts, p)
    integer, intent(in) :: n, parts, p
    first_cell = int(int(p, int64) * int(n, int64) / int(parts, int64))
  end function first_cell

  !> Choose npx * npy = ranks with the shortest halos among the cuts which leave blocks at least as wide as the halo.
  pure subroutine choose_cut(nx, ny, ranks, npx, npy)
    integer, intent(in) :: nx, ny, ranks
    integer, intent(out) :: npx, npy
    integer(int64) :: length, best
    integer :: p
    npx = 0
    npy = 0
    best = huge(best)
    do p = 1, ranks
      if (mod(ranks, p) /= 0) cycle
      if (nx / p < halo .or. ny / (ranks / p) < halo) cycle
      length = int(p, int64) * ny + int(ranks / p, int64) * nx
      if (length >= best) cycle
      best = length
      npx = p
      npy = ranks / p
    end do
  end subroutine choose_cut

  !> Cut the grid of nx * ny cells; npx, npy: processes along x and y, 0 to choose. `error` is empty on success.
  subroutine tile_create(comm, nx, ny, npx, npy, self, error)
    type(MPI_Comm), intent(in) :: comm
    integer, intent(in) :: nx, ny, npx, npy
    type(tile), intent(out) :: self
    character(len=*), intent(out) :: error
    integer :: px, py, length

    error = ''
    self%comm = comm
    call MPI_Comm_rank(comm, self%rank)
    call MPI_Comm_size(comm, self%ranks)
    self%nx_global = nx
    self%ny_global = ny
    self%npx = npx
    self%npy = npy
    if (npx > 0 .and. npy == 0) self%npy = self%ranks / npx
    if (npy > 0 .and. npx == 0) self%npx = self%ranks / npy
    if (npx == 0 .and. npy == 0) call choose_cut(nx, ny, self%ranks, self%npx, self%npy)
    if (self%npx * self%npy /= self%ranks) then
      write (error, '(2(a,i0),a,i0,a)') 'npx * npy = ', self%npx, ' * ', self%npy, &
        ' is not the number of processes, ', self%ranks, ' (blocks need at least 2 x 2 cells; 0 chooses)'
      return
    end if
    if (nx / self%npx < halo .or. ny / self%npy < halo) then
      write (error, '(4(a,i0),a)') 'a grid of ', nx, ' x ', ny, ' cells is too small for ', self%npx, ' x ', self%npy, &
        ' processes: blocks need at least 2 x 2 cells'
      return
    end if
    px = mod(self%rank, self%npx)
    py = self%rank / self%npx
    call tile_box(self, self%rank, self%i0, self%j0, self%nx, self%ny)
    self%west = merge(self%rank - 1, MPI_PROC_NULL, px > 0)
    self%east = merge(self%rank + 1, MPI_PROC_NULL, px < self%npx - 1)
    self%south = merge(self%rank - self%npx, MPI_PROC_NULL, py > 0)
    self%north = merge(self%rank + self%npx, MPI_PROC_NULL, py < self%npy - 1)
    length = 3 * halo * (max(self%nx, self%ny) + 2 * halo)
    allocate (self%outgoing(length), self%incoming(length))
  end subroutine tile_create

  !> Offsets and extents of the block of any rank: every process can compute them.
  pure subroutine tile_box(self, rank, i0, j0, nx, ny)
    type(tile), intent(in) :: self
    integer, intent(in) :: rank
    integer, intent(out) :: i0, j0, nx, ny
    integer :: px, py
    px = mod(rank, self%npx)
    py = rank / self%npx
    i0 = first_cell(self%nx_global, self%npx, px)
    j0 = first_cell(self%ny_global, self%npy, py)
    nx = first_cell(self%nx_global, self%npx, px + 1) - i0
    ny = first_cell(self%ny_global, self%npy, py + 1) - j0
  end subroutine tile_box

  !> Fill the halos of the three prognostic fields from the neighbours. Collective. Columns first, then rows with the
  !! columns just received, so that corners arrive without messages of their own. Ghost cells behind walls stay.
  subroutine tile_exchange(self, u, v, eta)
    type(tile), intent(inout) :: self
    real(dp), dimension(1 - halo:self%nx + halo, 1 - halo:self%ny + halo), intent(inout) :: u, v, eta
    integer :: nx, ny
    nx = self%nx
    ny = self%ny
    call shift(self%east, self%west, [nx - halo + 1, nx, 1, ny], [1 - halo, 0, 1, ny])
    call shift(self%west, self%east, [1, halo, 1, ny], [nx + 1, nx + halo, 1, ny])
    call shift(self%north, self%south, [1 - halo, nx + halo, ny - halo + 1, ny], [1 - halo, nx + halo, 1 - halo, 0])
    call shift(self%south, self%north, [1 - halo, nx + halo, 1, halo], [1 - halo, nx + halo, ny + 1, ny + halo])

  contains

    !> Send the box `from` (i1, i2, j1, j2) of all three fields to rank `to`, receive the box `into` from rank `source`.
    subroutine shift(to, source, from, into)
      integer, intent(in) :: to, source, from(4), into(4)
      integer :: n, m
      n = (from(2) - from(1) + 1) * (from(4) - from(3) + 1)
      if (to /= MPI_PROC_NULL) then
        self%outgoing(1:n) = pack_box(u, from, n)
        self%outgoing(n + 1:2 * n) = pack_box(v, from, n)
        self%outgoing(2 * n + 1:3 * n) = pack_box(eta, from, n)
      end if
      m = 3 * n
      call MPI_Sendrecv(self%outgoing, m, MPI_DOUBLE_PRECISION, to, 0, self%incoming, m, MPI_DOUBLE_PRECISION, &
                        source, 0, self%comm, MPI_STATUS_IGNORE)
      if (source == MPI_PROC_NULL) return
      call unpack_box(u, into, self%incoming(1:n))
      call unpack_box(v, into, self%incoming(n + 1:2 * n))
      call unpack_box(eta, into, self%incoming(2 * n + 1:3 * n))
    end subroutine shift

    pure function pack_box(a, box, n) result(line)
      real(dp), dimension(1 - halo:self%nx + halo, 1 - halo:self%ny + halo), intent(in) :: a
      integer, intent(in) :: box(4), n
      real(dp) :: line(n)
      line = reshape(a(box(1):box(2), box(3):box(4)), [n])
    end function pack_box

    pure subroutine unpack_box(a, box, line)
      real(dp), dimension(1 - halo:self%nx + halo, 1 - halo:self%ny + halo), intent(inout) :: a
      integer, intent(in) :: box(4)
      real(dp), intent(in) :: line(:)
      a(box(1):box(2), box(3):box(4)) = reshape(line, [box(2) - box(1) + 1, box(4) - box(3) + 1])
    end subroutine unpack_box

  end subroutine tile_exchange

  !> Elements and displacements of all blocks in one packed buffer, in the order of ranks.
  subroutine packed_layout(self, counts, starts)
    type(tile), intent(in) :: self
    integer, allocatable, intent(out) :: counts(:), starts(:)
    integer :: rank, i0, j0, nx, ny, total
    allocate (counts(0:self%ranks - 1), starts(0:self%ranks - 1))
    total = 0
    do rank = 0, self%ranks - 1
      call tile_box(self, rank, i0, j0, nx, ny)
      counts(rank) = nx * ny
      starts(rank) = total
      total = total + nx * ny
    end do
  end subroutine packed_layout

  !> Collect a field on rank 0 as one global array. Collective. `global` is only touched on rank 0.
  subroutine tile_gather(self, a, global)
    type(tile), intent(in) :: self
    real(dp), dimension(1 - halo:self%nx + halo, 1 - halo:self%ny + halo), intent(in) :: a
    real(dp), intent(inout) :: global(:, :)
    real(dp), allocatable :: mine(:, :), all_blocks(:)
    integer, allocatable :: counts(:), starts(:)
    integer :: rank, i0, j0, nx, ny

    call packed_layout(self, counts, starts)
    allocate (mine(self%nx, self%ny), all_blocks(merge(size(global), 1, self%rank == 0)))
    mine(:, :) = a(1:self%nx, 1:self%ny)
    call MPI_Gatherv(mine, size(mine), MPI_DOUBLE_PRECISION, all_blocks, counts, starts, MPI_DOUBLE_PRECISION, 0, &
                     self%comm)
    if (self%rank /= 0) return
    do rank = 0, self%ranks - 1
      call tile_box(self, rank, i0, j0, nx, ny)
      global(i0 + 1:i0 + nx, j0 + 1:j0 + ny) = &
        reshape(all_blocks(starts(rank) + 1:starts(rank) + counts(rank)), [nx, ny])
    end do
  end subroutine tile_gather

  !> Distribute a global array from rank 0 to the blocks. Collective. `global` is only read on rank 0.
  subroutine tile_scatter(self, global, a)
    type(tile), intent(in) :: self
    real(dp), intent(in) :: global(:, :)
    real(dp), dimension(1 - halo:self%nx + halo, 1 - halo:self%ny + halo), intent(inout) :: a
    real(dp), allocatable :: mine(:, :), all_blocks(:)
    integer, allocatable :: counts(:), starts(:)
    integer :: rank, i0, j0, nx, ny

    call packed_layout(self, counts, starts)
    allocate (mine(self%nx, self%ny), all_blocks(merge(size(global), 1, self%rank == 0)))
    if (self%rank == 0) then
      do rank = 0, self%ranks - 1
        call tile_box(self, rank, i0, j0, nx, ny)
        all_blocks(starts(rank) + 1:starts(rank) + counts(rank)) = &
          reshape(global(i0 + 1:i0 + nx, j0 + 1:j0 + ny), [nx * ny])
      end do
    end if
    call MPI_Scatterv(all_blocks, counts, starts, MPI_DOUBLE_PRECISION, mine, size(mine), MPI_DOUBLE_PRECISION, 0, &
                     self%comm)
    a(1:self%nx, 1:self%ny) = mine
  end subroutine tile_scatter

end module gyre_grid
