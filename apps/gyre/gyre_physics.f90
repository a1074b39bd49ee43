!> The shallow-water equations on the C-grid of gyre_grid, in a closed box on a beta-plane.
!!
!!   du/dt = + (h v) q - d/dx (K + g eta) + tau_x / (rho h) - c_D |u| u / h - F_x
!!   dv/dt = - (h u) q - d/dy (K + g eta)                   - c_D |u| v / h - F_y
!!   d eta/dt = - d/dx (h u) - d/dy (h v),   h = H + eta,   q = (f + dv/dx - du/dy) / h,   K = (u^2 + v^2) / 2
!!
!! - Momentum advection: Arakawa & Lamb (1981), A potential enstrophy and energy conserving scheme for the shallow water
!!   equations, Mon. Wea. Rev. 109, 18-36, doi 10.1175/1520-0493(1981)109<0018:APEAEC>2.0.CO;2, section 3: the
!!   coefficients alpha ... phi are averages of q with weights 1/24 and 2/24.
!! - Lateral friction: Shchepetkin & O'Brien (1996), A physically consistent formulation of lateral friction in
!!   shallow-water equation ocean models, Mon. Wea. Rev. 124, 1285-1300: with the stress
!!   S(u) = (u_x - v_y, v_x + u_y; v_x + u_y, -u_x + v_y) and L(u) = div(h S(u)) / h, here F = nu_bih L(L(u)),
!!   nu_bih = nu dx^2 [m4 s-1], nu in m2 s-1. The discrete L is self-adjoint in the thickness-weighted product, so
!!   that F takes exactly nu_bih sum h |L(u)|^2 >= 0 out of the energy.
!! - No slip at the walls, for u and for L(u): ghost values behind a wall are the negatives of those before it.
!! - Wind and parameters: Guillaumin & Zanna (2021), J. Adv. Model. Earth Syst. 13, doi 10.1029/2021MS002534.
!!
!! With K the plain mean of squares and h the plain mean at faces, the semi-discrete energy
!!   E = rho dx dy sum (h_u u^2 / 2 + h_v v^2 / 2 + g eta^2 / 2)
!! changes by the work of wind, drag and friction alone.
!!
!! All operations are pointwise and in the same order on every block: a cell has the same bits on any number of
!! processes.
module gyre_physics
  use gyre_grid, only: dp, halo, tile, tile_exchange
  use gyre_config, only: config
  implicit none
  private
  public :: state, ocean, ocean_create, ocean_step, ocean_refresh, ocean_rest, ocean_wind, ocean_add

  !> What a restart needs: three fields with halos; the halos are current after ocean_refresh only.
  type state
    real(dp), allocatable, dimension(:, :) :: u, v, eta
  end type state

  !> Constants, and arrays that live from step to step only to spare their allocation.
  type ocean
    integer :: nx, ny
    real(dp) :: dx, dy, rdx, rdy                               !< cell sizes and their inverses
    real(dp) :: depth, gravity, density, cd, nu_bih, dt
    logical :: budget = .false.                                !< accumulate the works below
    real(dp), allocatable :: f(:), stress(:)                   !< at corner rows; tau_x / rho at u rows ...
    real(dp), allocatable :: full_stress(:)                    !< ... and what it is with the factor 1
    real(dp), allocatable, dimension(:, :) :: h, hu, hv, hq    !< thickness at t, u, v, corners
    real(dp), allocatable, dimension(:, :) :: q, k, fx, fy     !< potential vorticity; u^2 + v^2 over 2; mass fluxes
    real(dp), allocatable, dimension(:, :) :: alpha, beta, gamma, delta, epsilon, phi  !< Arakawa & Lamb's averages of q
    real(dp), allocatable, dimension(:, :) :: normal, shear    !< h times the two components of the stress
    real(dp), allocatable, dimension(:, :) :: lu, lv, bu, bv   !< L(u) and L(L(u))
    real(dp), allocatable, dimension(:, :) :: du, dv, deta     !< tendencies
    real(dp), allocatable, dimension(:, :) :: wind, drag, friction  !< works since they were last zeroed [J per cell]
    type(state) :: stage, sum
  end type ocean

contains

  subroutine ocean_create(t, cfg, self)
    type(tile), intent(in) :: t
    type(config), intent(in) :: cfg
    type(ocean), intent(out) :: self
    real(dp), parameter :: pi = acos(-1.0_dp), omega = 2 * pi / 86400, earth_radius = 6.371e6_dp
    real(dp) :: f0, beta, y
    integer :: j, nx, ny

    nx = t%nx
    ny = t%ny
    self%nx = nx
    self%ny = ny
    self%dx = cfg%lx / cfg%nx
    self%dy = cfg%ly / cfg%ny
    self%rdx = 1 / self%dx
    self%rdy = 1 / self%dy
    self%depth = cfg%depth
    self%gravity = cfg%gravity
    self%density = cfg%density
    self%cd = cfg%cd
    self%nu_bih = cfg%nu * self%dx * self%dy
    self%dt = cfg%dt
    self%budget = cfg%budget_file /= ''

    f0 = 2 * omega * sin(cfg%latitude * pi / 180)
    beta = 2 * omega * cos(cfg%latitude * pi / 180) / earth_radius
    allocate (self%f(1 - halo:ny + halo), self%full_stress(1:ny))
    do j = 1 - halo, ny + halo
      self%f(j) = f0 + beta * ((t%j0 + j) * self%dy - cfg%ly / 2)
    end do
    do j = 1, ny
      y = ((t%j0 + j) - 0.5_dp) * self%dy
      self%full_stress(j) = cfg%tau0 / cfg%density &
                            * (cos(2 * pi * (y - cfg%ly / 2) / cfg%ly) + 2 * sin(pi * (y - cfg%ly / 2) / cfg%ly))
    end do
    self%stress = self%full_stress
    call new(self%h, self%hu, self%hv, self%hq)
    call new(self%q, self%k, self%fx, self%fy)
    call new(self%alpha, self%beta, self%gamma, self%delta)
    call new(self%epsilon, self%phi, self%normal, self%shear)
    call new(self%lu, self%lv, self%bu, self%bv)
    call new(self%du, self%dv, self%deta, self%wind)
    call new(self%stage%u, self%stage%v, self%stage%eta, self%drag)
    call new(self%sum%u, self%sum%v, self%sum%eta, self%friction)

  contains

    subroutine new(a, b, c, d)
      real(dp), allocatable, dimension(:, :), intent(out) :: a, b, c, d
      allocate (a(1 - halo:nx + halo, 1 - halo:ny + halo), b(1 - halo:nx + halo, 1 - halo:ny + halo), &
                c(1 - halo:nx + halo, 1 - halo:ny + halo), d(1 - halo:nx + halo, 1 - halo:ny + halo))
      a = 0
      b = 0
      c = 0
      d = 0
    end subroutine new

  end subroutine ocean_create

  !> From now on the wind blows with `factor` times its stress.
  subroutine ocean_wind(self, factor)
    type(ocean), intent(inout) :: self
    real(dp), intent(in) :: factor
    self%stress(:) = factor * self%full_stress
  end subroutine ocean_wind

  !> Add increments of this block to the state, none at the walls. The halos are not current then, as after a step.
  subroutine ocean_add(t, s, du, dv, deta)
    use mpi_f08, only: MPI_PROC_NULL
    type(tile), intent(in) :: t
    type(state), intent(inout) :: s
    real(dp), intent(in), dimension(t%nx, t%ny), optional :: du, dv, deta
    integer :: nx, ny
    nx = t%nx
    ny = t%ny
    if (present(du)) s%u(1:nx, 1:ny) = s%u(1:nx, 1:ny) + du
    if (present(dv)) s%v(1:nx, 1:ny) = s%v(1:nx, 1:ny) + dv
    if (present(deta)) s%eta(1:nx, 1:ny) = s%eta(1:nx, 1:ny) + deta
    if (t%east == MPI_PROC_NULL) s%u(nx, 1:ny) = 0
    if (t%north == MPI_PROC_NULL) s%v(1:nx, ny) = 0
  end subroutine ocean_add

  !> A state at rest, eta disturbed by a Gaussian bump in the middle and by noise of each cell's own, as the namelist
  !! says. The noise depends on the seed and the global index alone.
  subroutine ocean_rest(t, cfg, s)
    type(tile), intent(in) :: t
    type(config), intent(in) :: cfg
    type(state), intent(out) :: s
    real(dp) :: x, y
    integer :: i, j

    allocate (s%u(1 - halo:t%nx + halo, 1 - halo:t%ny + halo))
    allocate (s%v, s%eta, mold=s%u)
    s%u = 0
    s%v = 0
    s%eta = 0
    do j = 1, t%ny
      do i = 1, t%nx
        x = (t%i0 + i - 0.5_dp) * (cfg%lx / cfg%nx) - cfg%lx / 2
        y = (t%j0 + j - 0.5_dp) * (cfg%ly / cfg%ny) - cfg%ly / 2
        s%eta(i, j) = cfg%bump * exp(-(x**2 + y**2) / (2 * cfg%bump_radius**2)) &
                      + cfg%noise * unit_noise(t%i0 + i, t%j0 + j, cfg%seed)
      end do
    end do
  end subroutine ocean_rest

  !> A number in [-1, 1): rounds of the minimal standard generator (Park & Miller 1988, doi 10.1145/63039.63042),
  !! the indices stirred in between.
  pure real(dp) function unit_noise(i, j, seed)
    use, intrinsic :: iso_fortran_env, only: int64
    integer, intent(in) :: i, j, seed
    integer(int64), parameter :: a = 48271_int64, m = 2147483647_int64
    integer(int64) :: x
    integer :: k
    x = modulo(int(seed, int64), m - 1) + 1
    do k = 1, 3
      x = mod(a * x, m)
    end do
    x = mod(a * mod(x + i, m), m)
    x = mod(a * mod(x + mod(a * x, m), m), m)
    x = mod(a * mod(x + int(j, int64) * 69621_int64, m), m)
    do k = 1, 3
      x = mod(a * mod(x + ishft(x, -9), m), m)
    end do
    unit_noise = 2 * real(x, dp) / real(m, dp) - 1
  end function unit_noise

  !> Make the halos current: neighbours, then walls. Collective.
  subroutine ocean_refresh(t, s)
    type(tile), intent(inout) :: t
    type(state), intent(inout) :: s
    call tile_exchange(t, s%u, s%v, s%eta)
    call velocity_walls(t, s%u, s%v)
    call mirror_walls(t, s%eta)
  end subroutine ocean_refresh

  !> One step of the classical fourth-order Runge-Kutta method. Collective.
  subroutine ocean_step(self, t, s)
    type(ocean), intent(inout) :: self
    type(tile), intent(inout) :: t
    type(state), intent(inout) :: s
    real(dp) :: reach(4), weight(4)
    integer :: stage

    reach = self%dt * [0.5_dp, 0.5_dp, 1.0_dp, 0.0_dp]
    weight = self%dt * [1.0_dp, 2.0_dp, 2.0_dp, 1.0_dp] / 6
    call copy(s, self%stage)
    call copy(s, self%sum)
    do stage = 1, 4
      call ocean_refresh(t, self%stage)
      call tendencies(self, t, self%stage)
      if (self%budget) call accumulate_works(self, weight(stage), self%stage%u, self%stage%v)
      call accumulate(self%nx, self%ny, weight(stage), self%du, self%sum%u)
      call accumulate(self%nx, self%ny, weight(stage), self%dv, self%sum%v)
      call accumulate(self%nx, self%ny, weight(stage), self%deta, self%sum%eta)
      if (stage == 4) exit
      call advance(self%nx, self%ny, reach(stage), s%u, self%du, self%stage%u)
      call advance(self%nx, self%ny, reach(stage), s%v, self%dv, self%stage%v)
      call advance(self%nx, self%ny, reach(stage), s%eta, self%deta, self%stage%eta)
    end do
    call copy(self%sum, s)
  end subroutine ocean_step

  subroutine copy(from, into)
    type(state), intent(in) :: from
    type(state), intent(inout) :: into
    into%u(:, :) = from%u
    into%v(:, :) = from%v
    into%eta(:, :) = from%eta
  end subroutine copy

  !> b = a + c da, in the block without its halos.
  subroutine advance(nx, ny, c, a, da, b)
    integer, intent(in) :: nx, ny
    real(dp), intent(in) :: c
    real(dp), dimension(1 - halo:nx + halo, 1 - halo:ny + halo), intent(in) :: a, da
    real(dp), dimension(1 - halo:nx + halo, 1 - halo:ny + halo), intent(inout) :: b
    integer :: i, j
    do j = 1, ny
      do i = 1, nx
        b(i, j) = a(i, j) + c * da(i, j)
      end do
    end do
  end subroutine advance

  !> b = b + c da, in the block without its halos.
  subroutine accumulate(nx, ny, c, da, b)
    integer, intent(in) :: nx, ny
    real(dp), intent(in) :: c
    real(dp), dimension(1 - halo:nx + halo, 1 - halo:ny + halo), intent(in) :: da
    real(dp), dimension(1 - halo:nx + halo, 1 - halo:ny + halo), intent(inout) :: b
    integer :: i, j
    do j = 1, ny
      do i = 1, nx
        b(i, j) = b(i, j) + c * da(i, j)
      end do
    end do
  end subroutine accumulate

  !> No slip: no flow through a wall, and ghost velocities which make the one along it vanish on it.
  subroutine velocity_walls(t, u, v)
    use mpi_f08, only: MPI_PROC_NULL
    type(tile), intent(in) :: t
    real(dp), dimension(1 - halo:t%nx + halo, 1 - halo:t%ny + halo), intent(inout) :: u, v
    integer :: nx, ny
    nx = t%nx
    ny = t%ny
    if (t%west == MPI_PROC_NULL) then
      u(0, :) = 0
      u(-1, :) = -u(1, :)
      v(0, :) = -v(1, :)
      v(-1, :) = -v(2, :)
    end if
    if (t%east == MPI_PROC_NULL) then
      u(nx, :) = 0
      u(nx + 1, :) = -u(nx - 1, :)
      u(nx + 2, :) = -u(nx - 2, :)
      v(nx + 1, :) = -v(nx, :)
      v(nx + 2, :) = -v(nx - 1, :)
    end if
    if (t%south == MPI_PROC_NULL) then
      v(:, 0) = 0
      v(:, -1) = -v(:, 1)
      u(:, 0) = -u(:, 1)
      u(:, -1) = -u(:, 2)
    end if
    if (t%north == MPI_PROC_NULL) then
      v(:, ny) = 0
      v(:, ny + 1) = -v(:, ny - 1)
      v(:, ny + 2) = -v(:, ny - 2)
      u(:, ny + 1) = -u(:, ny)
      u(:, ny + 2) = -u(:, ny - 1)
    end if
  end subroutine velocity_walls

  !> The surface behind a wall is that before it: thickness on the wall is the mean of the cells along it.
  subroutine mirror_walls(t, eta)
    use mpi_f08, only: MPI_PROC_NULL
    type(tile), intent(in) :: t
    real(dp), dimension(1 - halo:t%nx + halo, 1 - halo:t%ny + halo), intent(inout) :: eta
    integer :: nx, ny
    nx = t%nx
    ny = t%ny
    if (t%west == MPI_PROC_NULL) eta(-1:0, :) = eta(2:1:-1, :)
    if (t%east == MPI_PROC_NULL) eta(nx + 1:nx + 2, :) = eta(nx:nx - 1:-1, :)
    if (t%south == MPI_PROC_NULL) eta(:, -1:0) = eta(:, 2:1:-1)
    if (t%north == MPI_PROC_NULL) eta(:, ny + 1:ny + 2) = eta(:, ny:ny - 1:-1)
  end subroutine mirror_walls

  !> Right-hand sides for a state with current halos.
  subroutine tendencies(self, t, s)
    type(ocean), intent(inout) :: self
    type(tile), intent(in) :: t
    type(state), intent(in) :: s
    integer :: nx, ny
    nx = self%nx
    ny = self%ny
    call thicknesses(nx, ny, self%depth, s%eta, self%h, self%hu, self%hv, self%hq)
    call flow(nx, ny, self%rdx, self%rdy, self%f, s%u, s%v, self%hu, self%hv, self%hq, self%q, self%k, self%fx, self%fy)
    call coefficients(nx, ny, self%q, self%alpha, self%beta, self%gamma, self%delta, self%epsilon, self%phi)
    call advection(nx, ny, self%alpha, self%beta, self%gamma, self%delta, self%epsilon, self%phi, self%fx, self%fy, &
                   self%du, self%dv)
    call pressure_and_continuity(nx, ny, self%rdx, self%rdy, self%gravity, s%eta, self%k, self%fx, self%fy, self%du, &
                                 self%dv, self%deta)
    if (self%nu_bih > 0) then
      call stress_divergence(nx, ny, 1, self%rdx, self%rdy, s%u, s%v, self%h, self%hu, self%hv, self%hq, self%normal, &
                             self%shear, self%lu, self%lv)
      call velocity_walls(t, self%lu, self%lv)
      call stress_divergence(nx, ny, 0, self%rdx, self%rdy, self%lu, self%lv, self%h, self%hu, self%hv, self%hq, &
                             self%normal, self%shear, self%bu, self%bv)
    end if
    call forcing(nx, ny, self%cd, self%nu_bih, self%stress, s%u, s%v, self%hu, self%hv, self%k, self%bu, self%bv, &
                 self%du, self%dv)
    call tendency_walls(t, self%du, self%dv)
  end subroutine tendencies

  !> Thickness at centres, at faces (mean of two) and at corners (mean of four), as far as anything below reads it.
  subroutine thicknesses(nx, ny, depth, eta, h, hu, hv, hq)
    integer, intent(in) :: nx, ny
    real(dp), intent(in) :: depth
    real(dp), dimension(1 - halo:nx + halo, 1 - halo:ny + halo), intent(in) :: eta
    real(dp), dimension(1 - halo:nx + halo, 1 - halo:ny + halo), intent(inout) :: h, hu, hv, hq
    integer :: i, j
    h = depth + eta
    do j = -1, ny + 1
      do i = -1, nx + 1
        hu(i, j) = 0.5_dp * (h(i, j) + h(i + 1, j))
        hv(i, j) = 0.5_dp * (h(i, j) + h(i, j + 1))
        hq(i, j) = 0.25_dp * ((h(i, j) + h(i + 1, j)) + (h(i, j + 1) + h(i + 1, j + 1)))
      end do
    end do
  end subroutine thicknesses

  !> Potential vorticity at corners, kinetic energy at centres, mass fluxes at faces.
  subroutine flow(nx, ny, rdx, rdy, f, u, v, hu, hv, hq, q, k, fx, fy)
    integer, intent(in) :: nx, ny
    real(dp), intent(in) :: rdx, rdy, f(1 - halo:ny + halo)
    real(dp), dimension(1 - halo:nx + halo, 1 - halo:ny + halo), intent(in) :: u, v, hu, hv, hq
    real(dp), dimension(1 - halo:nx + halo, 1 - halo:ny + halo), intent(inout) :: q, k, fx, fy
    integer :: i, j
    do j = 0, ny + 1
      do i = 0, nx + 1
        q(i, j) = (f(j) + (v(i + 1, j) - v(i, j)) * rdx - (u(i, j + 1) - u(i, j)) * rdy) / hq(i, j)
        k(i, j) = 0.25_dp * ((u(i, j)**2 + u(i - 1, j)**2) + (v(i, j)**2 + v(i, j - 1)**2))
        fx(i, j) = hu(i, j) * u(i, j)
        fy(i, j) = hv(i, j) * v(i, j)
      end do
    end do
  end subroutine flow

  !> Arakawa & Lamb (1981), section 3. Their q(i,j+1) is q(i,j) here; u of a face lies between q(i,j-1) and q(i,j).
  subroutine coefficients(nx, ny, q, alpha, beta, gamma, delta, epsilon, phi)
    integer, intent(in) :: nx, ny
    real(dp), dimension(1 - halo:nx + halo, 1 - halo:ny + halo), intent(in) :: q
    real(dp), dimension(1 - halo:nx + halo, 1 - halo:ny + halo), intent(inout) :: alpha, beta, gamma, delta
    real(dp), dimension(1 - halo:nx + halo, 1 - halo:ny + halo), intent(inout) :: epsilon, phi
    real(dp), parameter :: c = 1.0_dp / 24
    integer :: i, j
    do j = 1, ny + 1
      do i = 0, nx
        alpha(i, j) = c * (2 * q(i + 1, j) + q(i, j) + 2 * q(i, j - 1) + q(i + 1, j - 1))
        delta(i, j) = c * (q(i + 1, j) + 2 * q(i, j) + q(i, j - 1) + 2 * q(i + 1, j - 1))
      end do
      do i = 1, nx + 1
        beta(i, j) = c * (q(i, j) + 2 * q(i - 1, j) + q(i - 1, j - 1) + 2 * q(i, j - 1))
        gamma(i, j) = c * (2 * q(i, j) + q(i - 1, j) + 2 * q(i - 1, j - 1) + q(i, j - 1))
        epsilon(i, j) = c * (q(i, j) + q(i - 1, j) - q(i - 1, j - 1) - q(i, j - 1))
        phi(i, j) = c * (-q(i, j) + q(i - 1, j) + q(i - 1, j - 1) - q(i, j - 1))
      end do
    end do
  end subroutine coefficients

  !> Vorticity times mass flux. Each coefficient stands with the same pair of fluxes in both equations with opposite
  !! signs: the work cancels.
  subroutine advection(nx, ny, alpha, beta, gamma, delta, epsilon, phi, fx, fy, du, dv)
    integer, intent(in) :: nx, ny
    real(dp), dimension(1 - halo:nx + halo, 1 - halo:ny + halo), intent(in) :: alpha, beta, gamma, delta, epsilon, phi
    real(dp), dimension(1 - halo:nx + halo, 1 - halo:ny + halo), intent(in) :: fx, fy
    real(dp), dimension(1 - halo:nx + halo, 1 - halo:ny + halo), intent(inout) :: du, dv
    integer :: i, j
    do j = 1, ny
      do i = 1, nx
        du(i, j) = alpha(i, j) * fy(i + 1, j) + beta(i, j) * fy(i, j) + gamma(i, j) * fy(i, j - 1) &
                   + delta(i, j) * fy(i + 1, j - 1) - epsilon(i + 1, j) * fx(i + 1, j) + epsilon(i, j) * fx(i - 1, j)
        dv(i, j) = -gamma(i, j + 1) * fx(i, j + 1) - delta(i - 1, j + 1) * fx(i - 1, j + 1) &
                   - alpha(i - 1, j) * fx(i - 1, j) - beta(i, j) * fx(i, j) &
                   - phi(i, j + 1) * fy(i, j + 1) + phi(i, j) * fy(i, j - 1)
      end do
    end do
  end subroutine advection

  subroutine pressure_and_continuity(nx, ny, rdx, rdy, gravity, eta, k, fx, fy, du, dv, deta)
    integer, intent(in) :: nx, ny
    real(dp), intent(in) :: rdx, rdy, gravity
    real(dp), dimension(1 - halo:nx + halo, 1 - halo:ny + halo), intent(in) :: eta, k, fx, fy
    real(dp), dimension(1 - halo:nx + halo, 1 - halo:ny + halo), intent(inout) :: du, dv, deta
    integer :: i, j
    do j = 1, ny
      do i = 1, nx
        du(i, j) = du(i, j) - (gravity * (eta(i + 1, j) - eta(i, j)) + (k(i + 1, j) - k(i, j))) * rdx
        dv(i, j) = dv(i, j) - (gravity * (eta(i, j + 1) - eta(i, j)) + (k(i, j + 1) - k(i, j))) * rdy
        deta(i, j) = -((fx(i, j) - fx(i - 1, j)) * rdx + (fy(i, j) - fy(i, j - 1)) * rdy)
      end do
    end do
  end subroutine pressure_and_continuity

  !> L(a) = div(h S(a)) / h at the faces of the block and of `margin` cells around it.
  subroutine stress_divergence(nx, ny, margin, rdx, rdy, a, b, h, hu, hv, hq, normal, shear, lu, lv)
    integer, intent(in) :: nx, ny, margin
    real(dp), intent(in) :: rdx, rdy
    real(dp), dimension(1 - halo:nx + halo, 1 - halo:ny + halo), intent(in) :: a, b, h, hu, hv, hq
    real(dp), dimension(1 - halo:nx + halo, 1 - halo:ny + halo), intent(inout) :: normal, shear, lu, lv
    integer :: i, j
    do j = 1 - margin, ny + 1 + margin
      do i = 1 - margin, nx + 1 + margin
        normal(i, j) = h(i, j) * ((a(i, j) - a(i - 1, j)) * rdx - (b(i, j) - b(i, j - 1)) * rdy)
      end do
    end do
    do j = -margin, ny + margin
      do i = -margin, nx + margin
        shear(i, j) = hq(i, j) * ((b(i + 1, j) - b(i, j)) * rdx + (a(i, j + 1) - a(i, j)) * rdy)
      end do
    end do
    do j = 1 - margin, ny + margin
      do i = 1 - margin, nx + margin
        lu(i, j) = ((normal(i + 1, j) - normal(i, j)) * rdx + (shear(i, j) - shear(i, j - 1)) * rdy) / hu(i, j)
        lv(i, j) = ((shear(i, j) - shear(i - 1, j)) * rdx - (normal(i, j + 1) - normal(i, j)) * rdy) / hv(i, j)
      end do
    end do
  end subroutine stress_divergence

  !> Drag coefficient per unit of velocity [s-1] at a face: c_D |u| / h, |u| the mean of the two cells beside it.
  elemental real(dp) function drag_rate(cd, k1, k2, thickness)
    real(dp), intent(in) :: cd, k1, k2, thickness
    drag_rate = cd * (0.5_dp * (sqrt(2 * k1) + sqrt(2 * k2))) / thickness
  end function drag_rate

  !> Wind, bottom drag, lateral friction.
  subroutine forcing(nx, ny, cd, nu_bih, stress, u, v, hu, hv, k, bu, bv, du, dv)
    integer, intent(in) :: nx, ny
    real(dp), intent(in) :: cd, nu_bih, stress(1:ny)
    real(dp), dimension(1 - halo:nx + halo, 1 - halo:ny + halo), intent(in) :: u, v, hu, hv, k, bu, bv
    real(dp), dimension(1 - halo:nx + halo, 1 - halo:ny + halo), intent(inout) :: du, dv
    integer :: i, j
    do j = 1, ny
      do i = 1, nx
        du(i, j) = du(i, j) + stress(j) / hu(i, j) - drag_rate(cd, k(i, j), k(i + 1, j), hu(i, j)) * u(i, j) &
                   - nu_bih * bu(i, j)
        dv(i, j) = dv(i, j) - drag_rate(cd, k(i, j), k(i, j + 1), hv(i, j)) * v(i, j) - nu_bih * bv(i, j)
      end do
    end do
  end subroutine forcing

  subroutine tendency_walls(t, du, dv)
    use mpi_f08, only: MPI_PROC_NULL
    type(tile), intent(in) :: t
    real(dp), dimension(1 - halo:t%nx + halo, 1 - halo:t%ny + halo), intent(inout) :: du, dv
    if (t%east == MPI_PROC_NULL) du(t%nx, :) = 0
    if (t%north == MPI_PROC_NULL) dv(:, t%ny) = 0
  end subroutine tendency_walls

  !> Add what wind, drag and friction do in the time dt to the energy at the faces of each cell [J]. With the weights of
  !! the Runge-Kutta stages this integrates the powers with the order of the time step itself.
  subroutine accumulate_works(self, dt, u, v)
    type(ocean), intent(inout) :: self
    real(dp), intent(in) :: dt
    real(dp), dimension(1 - halo:self%nx + halo, 1 - halo:self%ny + halo), intent(in) :: u, v
    real(dp) :: c, rate_u, rate_v
    integer :: i, j
    c = dt * self%density * self%dx * self%dy
    do j = 1, self%ny
      do i = 1, self%nx
        rate_u = drag_rate(self%cd, self%k(i, j), self%k(i + 1, j), self%hu(i, j)) * u(i, j)
        rate_v = drag_rate(self%cd, self%k(i, j), self%k(i, j + 1), self%hv(i, j)) * v(i, j)
        self%wind(i, j) = self%wind(i, j) + c * self%fx(i, j) * (self%stress(j) / self%hu(i, j))
        self%drag(i, j) = self%drag(i, j) + c * (self%fx(i, j) * rate_u + self%fy(i, j) * rate_v)
        self%friction(i, j) = self%friction(i, j) &
                              + c * self%nu_bih * (self%fx(i, j) * self%bu(i, j) + self%fy(i, j) * self%bv(i, j))
      end do
    end do
  end subroutine accumulate_works

end module gyre_physics
